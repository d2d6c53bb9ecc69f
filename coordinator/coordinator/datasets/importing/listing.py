"""Which files lie below a folder, by name; what operating systems add is skipped and counted."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from contract.errors import UsageError

MOST_TEXT = 32 << 20
"""Bytes of a table or dataset.json: a list of 10,000 cases has a tenth of it."""
TEXT_ENDINGS = (".json", ".tsv", ".yaml")
"""Of the files that a layout may read."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies in a source.

    Attributes:
        name: of its folder, or of the archive without its ending.
        files: paths below it with slashes, sorted.
        skipped: kind of file that is no part of a dataset, such as `.DS_Store` -> how many there are.
        read_text: the text of one of the files; raises `UsageError` where it is none.
        folder: below which the files lie; None for an archive.
    """

    name: str
    files: tuple[str, ...]
    skipped: Mapping[str, int]
    read_text: Callable[[str], str]
    folder: Path | None = None


def list_folder(folder: Path) -> Listing:
    """List a folder; links are followed, each folder once.

    Raises:
        UsageError: there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: must be a folder, a .zip or a .tar.gz, but there is no such; check the path")
    skipped: Counter[str] = Counter()
    files = [path for path in _walk(folder) if not _count_skipped(path, skipped)]
    read = partial(read_text, folder)
    return Listing(folder.resolve().name, tuple(sorted(files)), dict(skipped), read, folder.resolve())


def skip_kind(path: str) -> str | None:
    """What a file is that no dataset holds: of macOS, or hidden; None for any other.

    Args:
        path: below the source, with slashes.
    """
    parts = path.split("/")
    if "__MACOSX" in parts:
        return "__MACOSX"
    if parts[-1] == ".DS_Store":
        return ".DS_Store"
    if parts[-1].startswith("._"):
        return "._*"
    return "hidden" if any(part.startswith(".") for part in parts) else None


def read_text(folder: Path, path: str) -> str:
    """The text of a small file.

    Raises:
        UsageError: it is too large, or no UTF-8.
    """
    file = folder / path
    if (size := file.stat().st_size) > MOST_TEXT:
        raise UsageError(
            f"{file}: a table must have at most {MOST_TEXT} bytes, but has {size}; is it what it is named?"
        )
    return decode(str(file), file.read_bytes())


def decode(where: str, content: bytes) -> str:
    """Text of UTF-8 bytes, with or without a byte order mark; `where` opens the message of a `UsageError`."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{where}: must be UTF-8 text, but: {error}; save it as UTF-8") from None


def _count_skipped(path: str, skipped: Counter[str]) -> bool:
    kind = skip_kind(path)
    if kind is not None:
        skipped[kind] += 1
    return kind is not None


def _walk(folder: Path) -> Iterator[str]:
    seen: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(folder, onerror=_fail, followlinks=True):
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in seen:  # a link to a folder above it
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        below = os.path.relpath(parent, folder).replace(os.sep, "/")
        yield from (file if below == "." else f"{below}/{file}" for file in files)


def _fail(error: OSError) -> None:
    """Raise that a folder can't be read: what lies in it would be left out in silence."""
    raise error
