"""Unpacks a zip archive that is not trusted: it may only make files below one folder, and not too many bytes."""

import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from contract import atomic
from contract.errors import CaseError
from coordinator.weights.disk import refuse_full_disk

MOST_FILES = 10_000
MOST_BYTES_FOR_ONE, MOST_BYTES_MORE = 20, 64_000_000
"""An archive of N bytes may hold 20 N + 64 MB: weights hardly compress, text compresses to a tenth."""


def unpack(archive: Path, top: str, into: Path) -> None:
    """Unpack the folder `top` of a zip archive; its files are synced.

    Args:
        archive: the .zip file.
        top: the folder that the archive must hold, and nothing else.
        into: the folder to make from it; must not exist.

    Raises:
        CaseError: the archive is not a zip file, has a bad checksum, holds a link or anything outside of `top`, or is
            too large. Only `into` may have been written.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = opened.infolist()
            problem = next(_problems(entries, top, archive.stat().st_size), None)
            if problem is not None:
                raise CaseError(f"{archive}: archive must hold the folder {top} alone, safely, but {problem}")
            refuse_full_disk(into.parent, sum(entry.file_size for entry in entries))
            into.mkdir()
            for entry in entries:
                if not entry.is_dir():
                    _write(opened, entry, into / entry.filename.removeprefix(f"{top}/"))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise CaseError(f"{archive}: must be a whole zip archive, but: {error}") from None


def _write(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(entry) as source, target.open("xb") as stream:
        shutil.copyfileobj(source, stream, 1 << 20)
    atomic.sync(target)


def _problems(entries: list[zipfile.ZipInfo], top: str, size: int) -> Iterator[str]:
    """Yield all reasons not to unpack; zipfile enforces the sizes that the entries state."""
    names = [entry.filename for entry in entries]
    total = sum(entry.file_size for entry in entries)
    if all(entry.is_dir() for entry in entries):
        yield "it holds no file"
    if len(entries) > MOST_FILES:
        yield f"it holds {len(entries)} files (at most {MOST_FILES})"
    if total > (most := MOST_BYTES_FOR_ONE * size + MOST_BYTES_MORE):
        yield f"it would become {total} bytes (at most {most})"
    if len(set(names)) != len(names):
        yield "it names a file twice"
    for entry in entries:
        if not entry.filename.startswith(f"{top}/") or any(
            part in ("", ".", "..") for part in entry.filename.removesuffix("/").split("/")
        ):
            yield f"{entry.filename!r} lies outside of it"
        if "\\" in entry.filename:
            yield f"{entry.filename!r} has a backslash"
        if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            yield f"{entry.filename!r} is a link or a device"
        if entry.flag_bits & 1:
            yield f"{entry.filename!r} is encrypted"
