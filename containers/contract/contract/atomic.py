"""Files that appear under their name only when they are whole and synced.

    write `.NAME.part`  ->  fsync  ->  rename to NAME  ->  fsync of the folder

Killed at any moment, a program that writes this way leaves whole files and at most one `.part`.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def part_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to; rename it to `path` when the block ends well, remove it when it fails.

    Args:
        path: the file to make or replace; its folder must exist.
    """
    part = path.with_name(f".{path.name}.part")
    with naming(path):
        try:
            yield part
            sync(part)
            if path.is_dir() and not path.is_symlink():
                path.rmdir()  # an empty folder in the file's place; one that holds something is refused
            part.replace(path)
            sync(path.parent)
        except BaseException:
            with suppress(OSError):  # what went wrong first is what must be told
                part.unlink(missing_ok=True)
            raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name a path in errors of the operating system that name none, as those of writing do."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Make or replace a file in one step."""
    with part_file(path) as part:
        part.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Make or replace a UTF-8 text file in one step."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: object) -> None:
    """Make or replace a JSON file in one step: indented, keys in the order given, one line feed at the end."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def sync(path: Path) -> None:
    """Flush a file or a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
