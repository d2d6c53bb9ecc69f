"""Headers of NIfTI files: what they announce, checked before a voxel is read; in mm, whatever unit the file has.

nibabel parses the fields. What they mean is judged here: nibabel's own checks mend a header in silence, or end in
exceptions of all kinds. Where programs differ, a note says how the file was read.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError

from contract.errors import CaseError
from contract.grids import Grid, canonical_orientation, orient_grid
from contract.niftigeometry import read_affine

NIFTI1_SIZE, NIFTI2_SIZE = 348, 540
FLAG_SIZE = 4
"""Bytes between header and voxels that say whether extensions follow."""
MOST_AXES = 7
MOST_OFFSET = 64 << 20
"""Extensions before the voxels are far smaller."""
MOST_SCALE = 3.4028234e38
"""What float32 holds, in which scaled voxels are computed."""
SPATIAL_UNITS, TIME_UNITS = 0x07, 0x38
"""Bits of xyzt_units."""


@dataclass(frozen=True, slots=True, eq=False)
class NiftiHeader:
    """A header that announces one scalar 3D volume.

    Attributes:
        fields: nibabel's, with what was repaired; its geometry may be written again.
        grid: shape, and affine in mm.
        dtype: of the stored numbers.
        offset: bytes before the voxels.
        slope: factor of the stored numbers; 1 where there is none.
        intercept: what is added to them; 0 where there is none.
        notes: what is odd about it and how it was read.
    """

    fields: nib.Nifti1Header
    grid: Grid
    dtype: np.dtype[np.generic]
    offset: int
    slope: float
    intercept: float
    notes: tuple[str, ...]

    @property
    def canonical_grid(self) -> Grid:
        """The grid of the volume turned to RAS+."""
        return orient_grid(self.grid, canonical_orientation(self.grid.affine))

    @property
    def voxels(self) -> int:
        """How many there are."""
        return math.prod(self.grid.shape)

    @property
    def size(self) -> int:
        """Bytes of the whole file, inflated."""
        return self.offset + self.voxels * self.dtype.itemsize

    @property
    def is_scaled(self) -> bool:
        """Whether stored numbers and voxel values differ."""
        return (self.slope, self.intercept) != (1.0, 0.0)


def header_size(start: bytes) -> int:
    """Bytes of the header of a file that starts with these four bytes."""
    return NIFTI2_SIZE if start in (b"\x1c\x02\0\0", b"\0\0\x02\x1c") else NIFTI1_SIZE


def parse_header(path: Path, content: bytes) -> NiftiHeader:
    """Parse the header of NIfTI-1 or NIfTI-2.

    Args:
        path: of the file, for messages.
        content: `header_size` bytes, or fewer where the file is shorter.

    Raises:
        CaseError: not NIfTI, not one scalar 3D volume, or a geometry that no CT has.
    """
    size = header_size(content[:4])
    if len(content) < size:
        raise CaseError(f"{path}: file must be NIfTI, but has {len(content)} bytes, fewer than a header; copy it again")
    kind = nib.Nifti2Header if size == NIFTI2_SIZE else nib.Nifti1Header
    fields = kind(content, check=False)
    _require_single_file(path, fields)
    dtype = _scalar_type(path, fields)
    shape, notes = _shape_3d(path, fields)
    with np.errstate(all="ignore"):
        affine, geometry_notes = read_affine(path, fields, shape)
        slope, intercept = _scale(path, fields)
    offset, offset_notes = _voxel_offset(path, fields, size + FLAG_SIZE)
    notes += [*geometry_notes, *offset_notes]
    if (slope, intercept) != (1.0, 0.0):
        notes.append(f"scaled voxels: slope {slope:.6g}, intercept {intercept:.6g} were applied")
    return NiftiHeader(fields, Grid(shape, affine), dtype, offset, slope, intercept, tuple(notes))


def _require_single_file(path: Path, fields: nib.Nifti1Header) -> None:
    magic = bytes(fields["magic"].item()).rstrip(b"\0")[:3]
    if magic in (b"ni1", b"ni2"):
        raise CaseError(
            f"{path}: file must hold header and voxels, but is the header of a pair (.hdr and .img); "
            "convert the pair to one .nii.gz"
        )
    if magic not in (b"n+1", b"n+2"):
        raise CaseError(f"{path}: file must be NIfTI, but its magic string is {magic!r}; convert it to NIfTI")


def _scalar_type(path: Path, fields: nib.Nifti1Header) -> np.dtype[np.generic]:
    """The type of the stored numbers, in the file's byte order."""
    try:
        dtype: np.dtype[np.generic] = np.dtype(fields.get_data_dtype())
    except (HeaderDataError, KeyError):
        dtype = np.dtype("V")
    if dtype.kind == "V" and dtype.fields is None:
        code = int(fields["datatype"])
        raise CaseError(f"{path}: voxels must have a type that NIfTI knows, but it is {code}; convert them")
    if dtype.fields is not None or not (np.issubdtype(dtype, np.integer) or np.issubdtype(dtype, np.floating)):
        what = "RGB" if dtype.fields is not None else str(dtype)
        raise CaseError(f"{path}: volume must have one number a voxel, but it is {what}; it is no CT and no label map")
    return dtype


def _shape_3d(path: Path, fields: nib.Nifti1Header) -> tuple[tuple[int, int, int], list[str]]:
    """The three axes of a volume: trailing axes of length one don't count, nor one before the slices.

    A single slice at several times also has shape (X, Y, 1, T); it says so by a unit of time.
    """
    axes = int(fields["dim"][0])
    if not 1 <= axes <= MOST_AXES:
        raise CaseError(f"{path}: volume must have 1 to {MOST_AXES} axes, but dim[0] is {axes}; repair the header")
    shape = tuple(int(n) for n in fields["dim"][1 : axes + 1])
    if min(shape) < 1:
        raise CaseError(f"{path}: volume must have voxels along all axes, but its shape is {shape}; repair the header")
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) == 3:
        return (shape[0], shape[1], shape[2]), []
    if len(shape) < 3:
        raise CaseError(f"{path}: volume must be 3D, but its shape is {shape}: a picture; stack its slices in one file")
    is_over_time = bool(int(fields["xyzt_units"]) & TIME_UNITS)
    if len(shape) == 4 and shape[2] == 1 and not is_over_time:
        slices = (shape[0], shape[1], shape[3])
        return slices, [f"the shape {shape} was read as {slices}: its slices lie along the fourth axis"]
    if len(shape) == 4 and shape[2] == 1:
        raise CaseError(
            f"{path}: volume must be 3D, but its shape is {shape}: one slice at {shape[3]} times; take one time, or "
            f"save it as ({shape[0]}, {shape[1]}, {shape[3]}) where these are slices"
        )
    if len(shape) == 5 and shape[3] == 1:
        raise CaseError(
            f"{path}: volume must have one number a voxel, but its shape is {shape}: {shape[4]} numbers a voxel; "
            "it is no CT and no label map"
        )
    raise CaseError(f"{path}: volume must be 3D, but its shape is {shape}; split it into one file a volume")


def _scale(path: Path, fields: nib.Nifti1Header) -> tuple[float, float]:
    """Slope and intercept; 1 and 0 where the header has none."""
    slope, intercept = float(fields["scl_slope"]), float(fields["scl_inter"])
    if slope == 0 or not math.isfinite(slope):
        return 1.0, 0.0
    if not (abs(slope) <= MOST_SCALE and abs(intercept) <= MOST_SCALE):
        raise CaseError(
            f"{path}: scale must be finite, but slope and intercept are {slope:g} and {intercept:g}; repair the header"
        )
    return slope, intercept


def _voxel_offset(path: Path, fields: nib.Nifti1Header, least: int) -> tuple[int, list[str]]:
    """Bytes before the voxels."""
    offset = float(fields["vox_offset"])
    if offset == 0:
        return least, [f"vox_offset is 0; voxels were read from byte {least}, where they begin in most files"]
    if not least <= offset <= MOST_OFFSET:
        raise CaseError(
            f"{path}: vox_offset must lie in {least} to {MOST_OFFSET}, but it is {offset:g}; repair the header"
        )
    return int(offset), []
