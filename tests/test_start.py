"""`stretto --version` and `--help` answer at once: few modules, none of a third party."""

import re
import subprocess
import sys

import pytest

import stretto

MODULES = 120

# What `.pth` files of the environment load before any program starts is not ours to count.
PROBE = """
import sys
before = {name for name in sys.modules if name.partition(".")[0] not in sys.stdlib_module_names}
from stretto.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as stop:
    code = stop.code
print("\\n".join(sorted(set(sys.modules) - before)), file=sys.stderr)
sys.exit(code)
"""


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *argv]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def test_the_version_is_printed() -> None:
    answer = run("-m", "stretto", "--version")

    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout == f"stretto {stretto.__version__}\n"
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", stretto.__version__)


def test_help_names_the_verbs_on_stdout() -> None:
    answer = run("-m", "stretto", "--help")

    assert (answer.returncode, answer.stderr) == (0, "")
    verbs = ("init", "check", "run", "resume", "watch", "show", "ls", "approve", "cancel", "gc", "doctor")
    missing = [verb for verb in verbs if not re.search(rf"\b{verb}\b", answer.stdout)]
    assert not missing


@pytest.mark.parametrize("flag", ["--version", "--help"])
def test_little_is_loaded(flag: str) -> None:
    answer = run("-c", PROBE, flag)
    loaded = answer.stderr.split()

    assert answer.returncode == 0, answer.stderr
    ours = {*sys.stdlib_module_names, "stretto", "__main__"}
    strangers = sorted({name for name in loaded if name.partition(".")[0] not in ours})
    assert not strangers, f"`stretto {flag}` loads {strangers}: import them where they are used"
    assert "stretto.cli" in loaded
    assert len(loaded) <= MODULES, f"{len(loaded)} modules for `stretto {flag}`:\n" + "\n".join(loaded)
