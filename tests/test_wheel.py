"""The wheel installs into a clean environment with four dependencies and works there, without a key."""

import email
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import stretto

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent


def run(
    *argv: str | Path, cwd: Path, home: str = os.environ.get("HOME", "/")
) -> subprocess.CompletedProcess[str]:
    """Without keys, settings of a provider or a path into this source tree; how to reach a registry stays."""
    kept = ("PATH", "LANG", "TMPDIR")
    prefixes = ("PIP_", "SSL_", "REQUESTS_", "http_", "https_", "no_", "HTTP_", "HTTPS_", "NO_PROXY")
    found = {name: value for name, value in os.environ.items() if name in kept or name.startswith(prefixes)}
    return subprocess.run(
        argv,
        check=False,
        cwd=cwd,
        env={**found, "HOME": home},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    built = run(*build, cwd=folder)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment that holds the wheel and what it asks for, as the lock pins it."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, with_pip=True)
    pip = (folder / "bin" / "python", "-m", "pip", "install", "--quiet")
    done = run(*pip, "--constraint", ROOT / "requirements.lock", wheel, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "bin"


def test_four_dependencies_and_no_more(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = email.message_from_bytes(archive.read(name))
    asked = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    core = sorted(need.name for need in asked if need.marker is None or "extra" not in str(need.marker))

    assert core == ["genai-prices", "numpy", "pyyaml", "rich"]
    assert metadata["Version"] == stretto.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"


def test_only_the_package_is_inside(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.partition("/")[0] for name in names}

    assert {"stretto/py.typed", "stretto/errors.md"} <= set(names)
    assert [name for name in names if name.endswith("licenses/LICENSE")]
    assert tops == {"stretto", f"stretto-{stretto.__version__}.dist-info"}


def test_first_run_in_a_clean_environment(installed: Path, tmp_path: Path) -> None:
    def stretto_command(*words: str) -> subprocess.CompletedProcess[str]:
        return run(installed / "stretto", *words, cwd=tmp_path, home=str(tmp_path))

    version = stretto_command("--version")
    assert version.stdout == f"stretto {stretto.__version__}\n", version.stderr

    for words in (["init"], ["check", "stretto.yaml"], ["run", "stretto.yaml"]):
        answer = stretto_command(*words)
        assert answer.returncode == 0, f"stretto {' '.join(words)}:\n{answer.stdout}{answer.stderr}"

    explained = stretto_command("explain", "cycle")
    assert explained.stdout.startswith("cycle\n\nTasks wait for each other"), explained.stderr
    assert (tmp_path / "stretto.yaml").is_file()
    assert (tmp_path / ".stretto" / "stretto.db").is_file()
