"""Archives that are not trusted, as folders: their files are listed, then those that are needed are unpacked.

.zip, .tar, .tar.gz, .tar.bz2, .tar.xz ──► names, all safe ──► files of cases, one by one ──► a hidden folder
"""

import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from contract import atomic
from contract.errors import UsageError
from coordinator.datasets.importing.listing import MOST_TEXT, TEXT_ENDINGS, Listing, decode, skip_kind

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
PIECE = 1 << 20
MOST_NAME_BYTES = 255
SPARE_BYTES = 1 << 30
"""Of the disk, that unpacking leaves free."""
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError)


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive.

    Attributes:
        name: its path, with slashes.
        size: bytes, unpacked.
        open: its bytes; of a .tar only until the next member is asked for.
    """

    name: str
    size: int
    open: Callable[[], IO[bytes]]


def is_archive(path: Path) -> bool:
    """Whether a path is that of a file with an ending of archives."""
    return path.name.lower().endswith(ENDINGS) and path.is_file()


def list_archive(archive: Path) -> Listing:
    """List the files of an archive, and keep the text of its tables.

    Raises:
        UsageError: it is damaged, encrypted, or holds a link, a device or a path that leads out of it.
    """
    skipped: Counter[str] = Counter()
    files: list[str] = []
    texts: dict[str, bytes] = {}
    for member in _read(archive):
        if (kind := skip_kind(member.name)) is not None:
            skipped[kind] += 1
            continue
        files.append(member.name)
        if member.name.endswith(TEXT_ENDINGS) and member.size + sum(map(len, texts.values())) <= MOST_TEXT:
            texts[member.name] = _read_all(archive, member)
    if repeated := [name for name, count in Counter(files).items() if count > 1]:
        raise UsageError(f"{archive}: names must be unique, but {repeated[0]!r} is in it twice; unpack it yourself")

    def read_text(path: str) -> str:
        if path not in texts:
            raise UsageError(
                f"{archive}: {path}: tables must have at most {MOST_TEXT} bytes together; unpack it yourself"
            )
        return decode(f"{archive}: {path}", texts[path])

    ending = next(ending for ending in sorted(ENDINGS, key=len, reverse=True) if archive.name.lower().endswith(ending))
    return Listing(archive.name[: -len(ending)], tuple(sorted(files)), dict(skipped), read_text)


def unpack(archive: Path, names: Collection[str], folder: Path, show_progress: Callable[[int, int], None]) -> None:
    """Unpack files of an archive, those that are not there yet; each appears when it is whole.

    Args:
        archive: that was listed.
        names: which files.
        folder: below which they come.
        show_progress: called with (files done, all of them).

    Raises:
        UsageError: as `list_archive`; also the disk is too full.
    """
    done = 0
    for member in _read(archive):
        if member.name not in names:
            continue
        target = folder / member.name
        if not (target.is_file() and target.stat().st_size == member.size):
            target.parent.mkdir(parents=True, exist_ok=True)
            _refuse_full_disk(archive, member, folder)
            with _telling_damage(archive), member.open() as source, atomic.part_file(target) as part:
                with part.open("wb") as stream:
                    shutil.copyfileobj(source, stream, PIECE)
                if (came := part.stat().st_size) != member.size:
                    raise EOFError(f"{member.name} has {came} of {member.size} bytes")
        done += 1
        show_progress(done, len(names))


def _read(archive: Path) -> Iterator[Member]:
    """Yield the regular files of an archive, all of whose names are safe."""
    with _telling_damage(archive):
        yield from _read_zip(archive) if zipfile.is_zipfile(archive) else _read_tar(archive)


def _read_zip(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            kind = entry.external_attr >> 28  # the first four bits of a Unix mode: 4 a folder, 8 a file, 10 a link
            name = _safe_name(archive, entry.filename, is_plain=kind in (0, 4, 8))
            if entry.flag_bits & 1:
                raise UsageError(f"{archive}: archive must not be encrypted, but {name!r} is; unpack it yourself")
            if not entry.is_dir():
                yield Member(name, entry.file_size, lambda entry=entry: opened.open(entry))  # type: ignore[misc]


def _read_tar(archive: Path) -> Iterator[Member]:
    with tarfile.open(archive, "r|*") as opened:
        for entry in opened:
            if entry.name in (".", "./"):
                continue
            name = _safe_name(archive, entry.name, is_plain=entry.isfile() or entry.isdir())
            if entry.isfile():
                yield Member(name, entry.size, lambda entry=entry: _require(opened.extractfile(entry)))  # type: ignore[misc]
            opened.members.clear()  # type: ignore[attr-defined]  # a list of all would grow


def _safe_name(archive: Path, name: str, *, is_plain: bool) -> str:
    """The name without `./` before it.

    Raises:
        UsageError: it leads out of the archive, is none that a folder can have, or is that of a link or device.
    """
    bare = name.removeprefix("./").removesuffix("/")
    parts = bare.split("/")
    if not is_plain:
        problem = "is a link or a device"
    elif any(part in ("", ".", "..") for part in parts) or "\\" in bare:
        problem = "leads out of it"
    elif not bare.isprintable() or any(len(part.encode(errors="replace")) > MOST_NAME_BYTES for part in parts):
        problem = "is no name for a file"
    else:
        return bare
    raise UsageError(
        f"{archive}: archive must hold files and folders alone, but {name[:100]!r} {problem}; "
        "unpack it yourself where you trust it, and import the folder"
    )


def _read_all(archive: Path, member: Member) -> bytes:
    with _telling_damage(archive), member.open() as stream:
        return stream.read(MOST_TEXT)


def _refuse_full_disk(archive: Path, member: Member, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if member.size + SPARE_BYTES > free:
        raise UsageError(
            f"{archive}: {member.name} needs {member.size / 1e9:.2f} GB, and {SPARE_BYTES / 1e9:.2f} GB must stay "
            f"free, but the disk of {folder} has {free / 1e9:.2f} GB; make room, then import again: it goes on"
        )


@contextmanager
def _telling_damage(archive: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno is not None:  # the disk's fault
            raise
        raise _damaged(archive, error) from error
    except DAMAGE as error:
        raise _damaged(archive, error) from error


def _damaged(archive: Path, error: Exception) -> UsageError:
    return UsageError(
        f"{archive}: must be a whole .zip or .tar.gz, but: {str(error) or type(error).__name__}; download it again"
    )


def _require(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise EOFError("a file of it can't be read")
    return stream
