"""Unpacks a zip archive that is not trusted: it may only make files below one folder, and not too many bytes."""

import errno
import shutil
import stat
import struct
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from contract import atomic
from contract.errors import CaseError
from coordinator.weights.disk import refuse_full_disk

MOST_FILES = 10_000
MOST_NAME_BYTES, MOST_COMMENT_BYTES, MOST_LINE_BYTES = 200, 65_535, 1024
ZIP64 = 0xFFFFFFFF
"""A length that stands elsewhere: the archive is larger than 4 GB."""
MOST_BYTES_FOR_ONE, MOST_BYTES_MORE = 20, 64_000_000
"""An archive of N bytes may hold 20 N + 64 MB: weights hardly compress, text compresses to a tenth."""


def unpack(archive: Path, top: str, into: Path) -> None:
    """Unpack the folder `top` of a zip archive; its files are synced.

    Args:
        archive: the .zip file.
        top: the folder that the archive must hold, and nothing else but what macOS's Finder adds, which is passed over.
        into: the folder to make from it; must not exist.

    Raises:
        CaseError: the archive is not a zip file, has a bad checksum, holds a link, a name that is unsafe or clashes
            with another, or anything outside of `top`, or is too large. Only `into` may have been written.
    """
    try:
        _refuse_long_list(archive)
        with zipfile.ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if not _is_finders(entry.filename)]
            _refuse_unsafe(archive, entries, top)
            refuse_full_disk(into.parent, sum(entry.file_size for entry in entries))
            into.mkdir()
            for entry in entries:
                if not entry.is_dir():
                    _write(opened, entry, into / entry.filename.removeprefix(f"{top}/"))
    except CaseError:
        raise
    except Exception as error:  # zipfile and its decompressors raise all kinds for a damaged archive
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # the disk's fault
            raise
        raise CaseError(f"{archive}: must be a whole zip archive, but: {type(error).__name__} {error}") from error


def _refuse_unsafe(archive: Path, entries: list[zipfile.ZipInfo], top: str) -> None:
    problem = next(_problems(entries, top, archive.stat().st_size), None)
    if problem is not None:
        raise CaseError(f"{archive}: archive must hold the folder {top} alone, safely, but {problem}")


def _is_finders(name: str) -> bool:
    """Whether macOS's Finder added a file to the archive: the second half of another one, with its attributes."""
    first, last = name.split("/", 1)[0], name.rsplit("/", 1)[-1]
    return first == "__MACOSX" or last.startswith("._")


def _refuse_long_list(archive: Path) -> None:
    """Refuse an archive whose list of files is longer than any that we take, before all of it is read into memory.

    Raises:
        CaseError: it is.
    """
    end_bytes = 22
    with archive.open("rb") as stream:
        stream.seek(max(0, archive.stat().st_size - end_bytes - MOST_COMMENT_BYTES))
        tail = stream.read()
    at = tail.rfind(b"PK\5\6")
    if at >= 0 and len(tail) - at >= end_bytes:
        (list_bytes,) = struct.unpack_from("<I", tail, at + 12)
        if list_bytes != ZIP64 and list_bytes > MOST_FILES * MOST_LINE_BYTES:
            raise CaseError(f"{archive}: archive must list at most {MOST_FILES} files, but its list has {list_bytes} B")


def _write(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(entry) as source, target.open("xb") as stream:
        shutil.copyfileobj(source, stream, 1 << 20)
    atomic.sync(target)


def _problems(entries: list[zipfile.ZipInfo], top: str, size: int) -> Iterator[str]:
    """Yield all reasons not to unpack; zipfile enforces the sizes that the entries state."""
    total = sum(entry.file_size for entry in entries)
    if all(entry.is_dir() for entry in entries):
        yield "it holds no file"
    if len(entries) > MOST_FILES:
        yield f"it holds {len(entries)} files (at most {MOST_FILES})"
    if total > (most := MOST_BYTES_FOR_ONE * size + MOST_BYTES_MORE):
        yield f"it would become {total} bytes (at most {most})"
    yield from _clashes(entries)
    for entry in entries:
        yield from _entry_problems(entry, top)


def _entry_problems(entry: zipfile.ZipInfo, top: str) -> Iterator[str]:
    name, parts = entry.filename, entry.filename.removesuffix("/").split("/")
    if not name.startswith(f"{top}/") or any(part in ("", ".", "..") for part in parts):
        yield f"{name!r} lies outside of it"
    if not name.isprintable() or name != entry.orig_filename:
        yield f"{entry.orig_filename!r} holds characters that can't be printed"
    if any(len(part.encode(errors="replace")) > MOST_NAME_BYTES for part in parts):
        yield f"{name[:60]!r}… has more than {MOST_NAME_BYTES} bytes"
    if "\\" in name:
        yield f"{name!r} has a backslash"
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        yield f"{name!r} is a link or a device"
    if entry.flag_bits & 1:
        yield f"{name!r} is encrypted"


def _clashes(entries: list[zipfile.ZipInfo]) -> Iterator[str]:
    """Yield names that are one file on some disk: equal, or equal but for case or Unicode form; or file and folder."""
    files = [entry.filename for entry in entries if not entry.is_dir()]
    folded = Counter(_fold(name) for name in files)
    for name in files:
        if folded[_fold(name)] > 1:
            yield f"it names a file twice: {name!r}"
    above = {_fold(name[:at]) for entry in entries for name in [entry.filename] for at in _slashes(name)}
    for name in files:
        if _fold(name) in above:
            yield f"{name!r} is a file and a folder"


def _slashes(name: str) -> Iterator[int]:
    return (at for at, letter in enumerate(name) if letter == "/")


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
