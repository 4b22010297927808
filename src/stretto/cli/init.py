"""The verb `init`: an example plan that runs at once and teaches the format."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from stretto.cli.check import schema_text
from stretto.errors import EXIT_OK, StrettoError

EXAMPLE = Path(__file__).with_name("example.yaml")


def init(args: Namespace) -> int:
    """Writes stretto.yaml and stretto.schema.json; what is there stays, unless --force is given."""
    folder: Path = args.dir
    files = {"stretto.yaml": EXAMPLE.read_text(encoding="utf-8"), "stretto.schema.json": schema_text()}
    there = [name for name in files if (folder / name).exists()]
    if there and not args.force:
        raise StrettoError(
            "would-overwrite",
            f"{' and '.join(there)} {'is' if len(there) == 1 else 'are'} here already",
            at=str(folder.absolute()),
            next="`stretto init --force` overwrites; `stretto init DIR` writes elsewhere",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as failed:
        what = f"{failed.filename or folder} cannot be written: {failed.strerror}"
        raise StrettoError("cannot-write", what, next="name another folder: stretto init DIR") from failed
    where = "" if folder == Path() else f"cd {folder} && "
    print(f"wrote {' and '.join(str(folder / name) for name in files)}")
    print(f"next: {where}stretto check stretto.yaml && stretto run stretto.yaml")
    return EXIT_OK
