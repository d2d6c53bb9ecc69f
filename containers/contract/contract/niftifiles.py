"""NIfTI files: header first, then the voxels that it announces; refused where they are no sound CT or label map."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.volumeutils import apply_read_scaling
from numpy.typing import NDArray

from contract.casefiles import reading
from contract.errors import CaseError
from contract.grids import Grid
from contract.gzipfiles import MOST_RATIO, PIECE, GzipStream, compress
from contract.memory import available_memory
from contract.niftiheaders import header_size, parse_header

BLOCK = 1 << 20
"""Voxels that are converted at once, so that a label map of wide numbers is never whole in memory."""
SMALL = 1 << 28
"""Bytes that are taken without asking how much memory is free."""


@dataclass(frozen=True, slots=True)
class FileEnd:
    """What is known when a file was read to its end: its sha256, hex, and what lay behind the voxels."""

    sha256: str
    notes: tuple[str, ...]


class NiftiReader:
    """An open NIfTI file whose header is read; its voxels are read once, in order, then its end.

    Attributes:
        header: what the file announces.
    """

    def __init__(self, path: Path, stream: GzipStream, file_size: int) -> None:
        """Read the header.

        Raises:
            CaseError: as `parse_header`; also more voxels announced than the file can hold.
        """
        self._path, self._stream = path, stream
        start = _read(stream, 4)
        self.header = parse_header(path, start + _read(stream, header_size(start) - len(start)))
        if self.header.size > MOST_RATIO * file_size:
            raise CaseError(
                f"{path}: voxels are missing: the header announces {self.header.size} bytes, but {file_size} "
                "compressed bytes never hold so many; copy the file again, or repair its header"
            )
        self._skip_to_voxels(header_size(start))

    def read_stored(self) -> NDArray[np.generic]:
        """(N,) all stored numbers, in the machine's byte order, without the scale."""
        require_memory(self.header.voxels * self.header.dtype.itemsize)
        array = np.empty(self.header.voxels, self.header.dtype)
        self._fill(array)
        return array.astype(array.dtype.newbyteorder("="), copy=False)

    def read_blocks(self) -> Iterator[NDArray[np.generic]]:
        """Yield the voxels' values, (n,) at a time: float32 where the file has a scale."""
        left, buffer = self.header.voxels, np.empty(min(BLOCK, self.header.voxels), self.header.dtype)
        while left:
            block = buffer[: min(left, BLOCK)]
            self._fill(block)
            left -= len(block)
            native = block.astype(block.dtype.newbyteorder("="), copy=False)
            yield self._scale(native) if self.header.is_scaled else native

    def finish(self) -> FileEnd:
        """Check the end of the file.

        Raises:
            CaseError: as `GzipStream.finish`.
        """
        sha256, notes = self._stream.finish()
        return FileEnd(sha256, (*self.header.notes, *notes))

    def _scale(self, stored: NDArray[np.generic]) -> NDArray[np.float32]:
        """Apply the scale in the precision that nibabel takes."""
        with np.errstate(all="ignore"):  # what overflows is found as a voxel that is not finite
            slope, intercept = np.float32(self.header.slope), np.float32(self.header.intercept)
            return np.asarray(apply_read_scaling(stored, slope, intercept)).astype(np.float32, copy=False)

    def _fill(self, array: NDArray[np.generic]) -> None:
        """Read as many bytes as the array has."""
        size = self._stream.read_into(array.view(np.uint8))
        if size < array.nbytes:
            header = self.header
            raise CaseError(
                f"{self._path}: voxels are missing: the header announces {header.voxels} of {header.dtype.itemsize} "
                "bytes, but the file ends before; copy the file again"
            )

    def _skip_to_voxels(self, position: int) -> None:
        while position < self.header.offset:
            skipped = self._stream.read(min(PIECE, self.header.offset - position))
            if not skipped:
                raise CaseError(
                    f"{self._path}: voxels are missing: they begin at byte {self.header.offset}, but the file has "
                    f"{position}; copy the file again"
                )
            position += len(skipped)


@contextmanager
def open_nifti(path: Path) -> Iterator[NiftiReader]:
    """Open a NIfTI file; whatever it raises within the block is the failure of its case.

    Raises:
        CaseError: the file can't be read, or is not what it must be.
    """
    with reading(path), path.open("rb") as file:
        size = path.stat().st_size
        yield NiftiReader(path, GzipStream(path, file), size)


def read_voxels(reader: NiftiReader) -> NDArray[np.generic]:
    """(X, Y, Z) voxels of a file: as stored, or float32 where it has a scale."""
    header = reader.header
    # Once as stored, once more in the order of RAS+.
    require_memory(2 * header.voxels * (np.dtype(np.float32) if header.is_scaled else header.dtype).itemsize)
    if not header.is_scaled:
        return reader.read_stored().reshape(header.grid.shape, order="F")
    array, position = np.empty(header.voxels, np.float32), 0
    for block in reader.read_blocks():
        array[position : position + len(block)] = block
        position += len(block)
    return array.reshape(header.grid.shape, order="F")


def require_memory(size: int) -> None:
    """Refuse to take more memory than is free: the system would grant it, and later end this process, or another.

    Raises:
        MemoryError: so many bytes are not free.
    """
    if size > SMALL and size > (free := available_memory()):
        raise MemoryError(f"{size / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free")


def encode_labels(array: NDArray[np.generic], geometry: nib.Nifti1Header, grid: Grid) -> bytes:
    """Gzipped NIfTI with the geometry of another header and nothing else of it (headers may name patients).

    Args:
        array: (X, Y, Z) label ids in the orientation of the file.
        geometry: the image's header.
        grid: the image's shape and affine, as stored.
    """
    header = (nib.Nifti2Header if isinstance(geometry, nib.Nifti2Header) else nib.Nifti1Header)()
    header.set_data_dtype(array.dtype)
    header.set_data_shape(grid.shape)
    for field in ("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y",
                  "qoffset_z", "srow_x", "srow_y", "srow_z", "xyzt_units"):  # fmt: skip
        header[field] = geometry[field]
    header["pixdim"][:4] = geometry["pixdim"][:4]
    kind = nib.Nifti2Image if isinstance(geometry, nib.Nifti2Header) else nib.Nifti1Image
    image = kind(array, None, header=header)
    return compress(image.to_bytes())


def encode_image(array: NDArray[np.generic], affine: NDArray[np.float64]) -> bytes:
    """Gzipped NIfTI-1 with a given affine (sform and qform, code 1)."""
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    return compress(image.to_bytes())


def _read(stream: GzipStream, size: int) -> bytes:
    """The next bytes, fewer where the stream ends."""
    buffer = np.empty(size, np.uint8)
    return buffer[: stream.read_into(buffer)].tobytes()
