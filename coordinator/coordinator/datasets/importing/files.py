"""How a file gets into a dataset folder: as it is where it can serve so, else written anew without loss.

.nii.gz            hard link; else a relative link that stays in the data folder; else a copy
.nii, .hdr + .img  written anew as .nii.gz: the same header and voxels
"""

import errno
import gzip
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Literal

import nibabel as nib

from contract import atomic
from contract.errors import CaseError
from contract.gzipfiles import COMPRESSION_LEVEL
from contract.niftiheaders import FLAG_SIZE, MOST_OFFSET, header_size
from coordinator.datasets.importing.cases import split_ending

Way = Literal["hard link", "link", "copy", "compressed", "pair joined"]
PIECE = 1 << 20
NO_HARD_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.EACCES})
"""What systems answer where a file can't be hard-linked: another disk, no such links, not the owner."""


def plan_way(source: Path, data: Path) -> Way:
    """How a file would be put below a data folder; it is not tried.

    Args:
        source: the file.
        data: folder of dataset folders, or a folder in which it will be made.
    """
    ending = split_ending(source.name)[1].lower()
    if ending != ".nii.gz":
        return "compressed" if ending == ".nii" else "pair joined"
    existing = next(folder for folder in (data, *data.absolute().parents) if folder.exists())
    real = Path(os.path.realpath(source))
    if real.exists() and real.stat().st_dev == existing.stat().st_dev:
        return "hard link"
    return "link" if _lies_within(real, data) else "copy"


def put(source: Path, target: Path, data: Path) -> Way:
    """Put a .nii.gz file into a dataset folder as it is.

    Args:
        source: the file, or a link to it.
        target: where it is put, below `data`; replaced in one step.
        data: folder of dataset folders: containers see nothing outside of it, so that no link may leave it.

    Returns:
        How it was put there.
    """
    real = Path(os.path.realpath(source))
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(real)
    except OSError as error:
        if error.errno not in NO_HARD_LINK:
            raise
    else:
        return "hard link"
    if _lies_within(real, data):
        with suppress(OSError):  # a file system without links
            target.symlink_to(_relative(real, target))
            return "link"
    with atomic.part_file(target) as part:
        shutil.copyfile(real, part)
    return "copy"


def write_anew(source: Path, target: Path) -> Way:
    """Write an uncompressed file or a pair as one .nii.gz with the same header fields and voxels.

    Args:
        source: a .nii file, or the .hdr of a pair whose .img lies beside it; each may be gzipped.
        target: the .nii.gz file; replaced in one step.

    Raises:
        CaseError: no NIfTI, or a header without its voxels.
    """
    is_pair = ".hdr" in split_ending(source.name)[1].lower()
    with (
        atomic.part_file(target) as part,
        part.open("wb") as file,
        gzip.GzipFile("", "wb", COMPRESSION_LEVEL, file, 0) as packed,
    ):
        if is_pair:
            with _telling_damage(source):
                _join_pair(source, packed)
        else:
            with source.open("rb") as stream:
                shutil.copyfileobj(stream, packed, PIECE)
    return "pair joined" if is_pair else "compressed"


def voxel_file(header: Path) -> Path | None:
    """The file of a pair's voxels; None where there is none beside its header."""
    stem = split_ending(header.name)[0]
    names = {path.name.lower(): path for path in header.parent.iterdir()} if header.parent.is_dir() else {}
    return next((names[f"{stem}{e}".lower()] for e in (".img", ".img.gz") if f"{stem}{e}".lower() in names), None)


def _join_pair(source: Path, packed: gzip.GzipFile) -> None:
    """Write the header of a pair as that of a single file, then the voxels."""
    voxels = voxel_file(source)
    if voxels is None:
        raise CaseError(f"{source}: a header must lie beside its voxels, but there is no .img; copy both files")
    with _open(source) as stream:
        start = stream.read(4)
        content = start + stream.read(header_size(start) - 4)
    if len(content) < header_size(start):
        raise CaseError(f"{source}: file must be NIfTI, but has {len(content)} bytes; copy it again")
    kind = nib.Nifti2Header if header_size(start) != nib.Nifti1Header.sizeof_hdr else nib.Nifti1Header
    header = kind(content, check=False)
    magic = bytes(header["magic"].item()).rstrip(b"\0")[:3]
    if magic not in (b"ni1", b"ni2"):
        raise CaseError(
            f"{source}: header must be that of a NIfTI pair, but its magic string is {magic!r}: Analyze files "
            "don't say where left is; convert it to NIfTI where its origin is known"
        )
    offset = float(header["vox_offset"])
    if not 0 <= offset <= MOST_OFFSET:
        raise CaseError(f"{source}: vox_offset must lie in 0 to {MOST_OFFSET}, but it is {offset:g}; repair the header")
    header["magic"] = b"n+1" if magic == b"ni1" else b"n+2\0\r\n\x1a\n"
    header["vox_offset"] = len(content) + FLAG_SIZE
    packed.write(header.binaryblock + b"\0" * FLAG_SIZE)
    with _open(voxels) as stream:
        stream.read(int(offset))
        shutil.copyfileobj(stream, packed, PIECE)


@contextmanager
def _telling_damage(source: Path) -> Iterator[None]:
    """Turn what a damaged .gz raises into the failure of its case."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CaseError(
            f"{source}: pair must be whole, but one of its files is damaged: {error}; copy both again"
        ) from None


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    """A file's bytes, inflated where it is gzip by its name."""
    with path.open("rb") as file:
        if path.name.lower().endswith(".gz"):
            with gzip.open(file) as packed:
                yield packed  # type: ignore[misc]
        else:
            yield file


def _lies_within(real: Path, data: Path) -> bool:
    return real.is_relative_to(os.path.realpath(data))


def _relative(real: Path, target: Path) -> str:
    return os.path.relpath(real, os.path.realpath(target.parent))
