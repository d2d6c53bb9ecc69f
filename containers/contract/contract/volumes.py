"""Reading and writing NIfTI volumes: the door at which bad files are refused, with a message that names the file.

    read_image(path)                  HU, turned to RAS+
    read_labels(path, image, labels)  label ids, turned onto the image's voxels
    write_labels(path, labels, image) label ids, on the grid and in the orientation in which the image was stored

Every byte is checked before a voxel is believed: nibabel accepts a wrong gzip checksum, SimpleITK fills a truncated
file with zeros. What was odd but acceptable is said in `Volume.notes`.
"""

import gzip
import hashlib
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from contract import atomic
from contract.errors import CaseError, ContractError
from contract.grids import Grid, canonical_orientation, inverse, orientation_onto, oriented, oriented_grid

LabelMap = NDArray[np.unsignedinteger[Any]]
"""(X, Y, Z) uint8, or uint16 where an id is above 255; 0 is background."""

ROUNDING = 1e-3
"""Labels stored as floats must lie this close to an integer."""
COMPRESSION_LEVEL = 6
NEARLY_SINGULAR = 1e-6
"""Smallest ratio of voxel volume to the product of the spacings; a real shear is far above it."""


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """An image in memory.

    Attributes:
        array: (X, Y, Z) voxels in RAS+ order: int16, int32 … as stored, or float32/float64 where the file has a scale.
        grid: shape and affine of `array`.
        stored: shape and affine as in the file.
        header: the file's header; only its geometry is ever written again.
        sha256: of the file's bytes, hex.
        notes: what was odd about the file and how it was read; empty for an ordinary one.
    """

    array: NDArray[np.generic]
    grid: Grid
    stored: Grid
    header: nib.Nifti1Header
    sha256: str
    notes: tuple[str, ...]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel spacing of `array` in mm."""
        return self.grid.spacing_mm


def read_image(path: Path) -> Volume:
    """Read a CT volume and turn it to RAS+.

    Args:
        path: a .nii.gz file, NIfTI-1 or NIfTI-2, in any orientation.

    Raises:
        CaseError: the file is missing, empty, truncated, corrupt, not gzip, not NIfTI, not one scalar 3D volume, has
            a singular affine, or holds NaN or infinite voxels.
    """
    volume = _read(path)
    if np.issubdtype(volume.array.dtype, np.floating):
        not_finite = int(volume.array.size - np.isfinite(volume.array).sum())
        if not_finite:
            raise CaseError(
                f"{path}: all voxels must be finite, but {not_finite} are NaN or infinite; "
                "repair the image, or exclude the case under `exclude:` in dataset.yaml"
            )
    return volume


def read_labels(path: Path, image: Volume | Grid, known: Collection[int] | None = None) -> LabelMap:
    """Read a label map and turn it onto the image's voxels, without interpolation.

    Args:
        path: a .nii.gz file that covers the image's voxels, stored in any orientation.
        image: the image, or its RAS+ grid.
        known: ids that may occur beside 0; any when None.

    Returns:
        (X, Y, Z) uint8 label map, uint16 where an id is above 255, aligned with the image's array.

    Raises:
        CaseError: as `read_image`; also another grid, values that are no integers, unknown ids (all are listed).
    """
    volume = _read(path)
    target = image if isinstance(image, Grid) else image.grid
    try:
        orientation = orientation_onto(volume.grid, target)
    except CaseError as error:
        raise CaseError(
            f"{path}: label and image: {error}; "
            "resample the label, or exclude the case under `exclude:` in dataset.yaml"
        ) from None
    return _integers(path, oriented(volume.array, volume.grid, orientation), known)


def write_labels(path: Path, labels: NDArray[np.generic], image: Volume) -> str:
    """Write a label map on the grid of the image's file: shape, orientation, sform and qform with their codes.

    Args:
        path: the .nii.gz file to make or replace, in one step.
        labels: (X, Y, Z) integers in 0..65535, aligned with `image.array`.
        image: the image that the labels belong to.

    Returns:
        sha256 of the written file, hex. The same labels give the same bytes.

    Raises:
        ContractError: another shape, no integers, or ids outside 0..65535.
    """
    if labels.shape != image.grid.shape:
        raise ContractError(
            f"{path.name}: labels must have the image's shape {image.grid.shape}, but have {labels.shape}"
        )
    if not np.issubdtype(labels.dtype, np.integer) and labels.dtype != np.bool_:
        raise ContractError(f"{path.name}: labels must be integers, but are {labels.dtype}")
    lowest, highest = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
    if lowest < 0 or highest > np.iinfo(np.uint16).max:
        raise ContractError(f"{path.name}: label ids must lie in 0..65535, but go from {lowest} to {highest}")
    small = labels.astype(np.uint8 if highest <= np.iinfo(np.uint8).max else np.uint16)
    stored = oriented(small, image.grid, inverse(canonical_orientation(image.stored.affine)))
    content = _encoded(stored, image.header, image.stored)
    atomic.write_bytes(path, content)
    return hashlib.sha256(content).hexdigest()


def write_image(path: Path, array: NDArray[np.generic], affine: NDArray[np.float64]) -> str:
    """Write an image with a given affine (sform and qform, code 1), in one step; returns its sha256.

    Args:
        path: the .nii.gz file to make or replace.
        array: (X, Y, Z) voxels in HU.
        affine: (4, 4) voxel -> RAS mm.
    """
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    content = gzip.compress(image.to_bytes(), COMPRESSION_LEVEL, mtime=0)
    atomic.write_bytes(path, content)
    return hashlib.sha256(content).hexdigest()


def decompress(path: Path, content: bytes) -> bytes:
    """Inflate a gzip file, checking its checksum and that its stream ends.

    Raises:
        CaseError: empty, not gzip, truncated or corrupt.
    """
    if not content:
        raise CaseError(f"{path}: file must not be empty, but has zero bytes; copy it again")
    if content[:2] != b"\x1f\x8b":
        raise CaseError(f"{path}: file must be gzip, but is not; compress it, or rename it to what it is")
    inflated = []
    while content:
        stream = zlib.decompressobj(wbits=31)
        try:
            inflated.append(stream.decompress(content))
        except zlib.error as error:
            raise CaseError(f"{path}: gzip stream is corrupt ({error}); copy the file again") from None
        if not stream.eof:
            raise CaseError(f"{path}: gzip stream is truncated: it ends in the middle; copy the file again")
        content = stream.unused_data.lstrip(b"\0")
    return inflated[0] if len(inflated) == 1 else b"".join(inflated)


def _read(path: Path) -> Volume:
    """Read any scalar 3D NIfTI file and turn it to RAS+."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CaseError(f"{path}: file must be readable, but: {error.strerror}") from None
    image = _parsed(path, decompress(path, content))
    shape = _shape_3d(path, image.shape)
    affine = _sound_affine(path, image)
    stored = Grid(shape, affine)
    orientation = canonical_orientation(affine)
    array = oriented(_voxels(path, image).reshape(shape), stored, orientation)
    return Volume(
        array=np.ascontiguousarray(array),
        grid=oriented_grid(stored, orientation),
        stored=stored,
        header=image.header,
        sha256=hashlib.sha256(content).hexdigest(),
        notes=_notes(image),
    )


def _parsed(path: Path, content: bytes) -> nib.Nifti1Image:
    """Parse NIfTI-1 or NIfTI-2 bytes."""
    kind = nib.Nifti2Image if content[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c") else nib.Nifti1Image
    try:
        return kind.from_bytes(content)
    except (ImageFileError, HeaderDataError, ValueError) as error:
        raise CaseError(f"{path}: file must be NIfTI, but: {error}") from None


def _shape_3d(path: Path, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Drop trailing axes of length one; refuse anything that is not 3D then."""
    if len(shape) < 3 or any(n != 1 for n in shape[3:]):
        raise CaseError(f"{path}: volume must be 3D, but its shape is {shape}; split it into one file a volume")
    if 0 in shape:
        raise CaseError(f"{path}: volume must have voxels, but its shape is {shape}")
    return (int(shape[0]), int(shape[1]), int(shape[2]))


def _sound_affine(path: Path, image: nib.Nifti1Image) -> NDArray[np.float64]:
    """Refuse an affine that doesn't span three dimensions."""
    affine = np.asarray(image.affine, dtype=np.float64)
    if not np.isfinite(affine).all():
        raise CaseError(f"{path}: affine must be finite, but holds NaN or infinity; repair the header")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if abs(np.linalg.det(affine[:3, :3])) <= NEARLY_SINGULAR * float(np.prod(spacing)):
        raise CaseError(
            f"{path}: affine must span three dimensions, but it is singular (spacing {spacing.round(4).tolist()} mm); "
            "repair the header"
        )
    return affine


def _voxels(path: Path, image: nib.Nifti1Image) -> NDArray[np.generic]:
    """The voxels with the file's scale applied; integers without a scale stay as they are."""
    kind = image.get_data_dtype()
    if kind.fields is not None or not (np.issubdtype(kind, np.integer) or np.issubdtype(kind, np.floating)):
        what = "RGB" if kind.fields is not None else str(kind)
        raise CaseError(f"{path}: volume must have one number a voxel, but it is {what}; it is no CT and no label map")
    try:
        array = np.asanyarray(image.dataobj)
    except (OSError, ValueError) as error:
        raise CaseError(f"{path}: voxels are missing: {error}; copy the file again") from None
    kind = np.dtype(np.float32) if _is_scaled(image) else array.dtype.newbyteorder("=")
    return np.asarray(array, dtype=kind)


def _is_scaled(image: nib.Nifti1Image) -> bool:
    """Whether stored numbers and voxel values differ by a slope or an intercept."""
    return (image.dataobj.slope, image.dataobj.inter) != (1.0, 0.0)


def _notes(image: nib.Nifti1Image) -> tuple[str, ...]:
    """What a reader of the log should know about this header."""
    header = image.header
    qform_code, sform_code = int(header["qform_code"]), int(header["sform_code"])
    notes = []
    if qform_code == 0 and sform_code == 0:
        notes.append("no orientation: sform and qform codes are 0; nibabel's fallback was used (LAS, centred)")
    if qform_code > 0 and sform_code > 0:
        distance_mm = _forms_differ_mm(image)
        if distance_mm > 0.01:
            notes.append(f"qform and sform disagree by {distance_mm:.3g} mm; the sform was used")
    if _is_scaled(image):
        notes.append(
            f"scaled voxels: slope {image.dataobj.slope:.6g}, intercept {image.dataobj.inter:.6g} were applied"
        )
    return tuple(notes)


def _forms_differ_mm(image: nib.Nifti1Image) -> float:
    """Largest distance between a corner's places by sform and by qform; 0 where the header holds no valid qform."""
    try:
        qform = image.header.get_qform()
    except (HeaderDataError, ValueError):
        return 0.0
    shape = (image.shape[0], image.shape[1], image.shape[2])
    return Grid(shape, np.asarray(qform)).distance_mm(Grid(shape, np.asarray(image.header.get_sform())))


def _integers(path: Path, array: NDArray[np.generic], known: Collection[int] | None) -> LabelMap:
    """Turn stored label values to uint8 or uint16, or say what is wrong with them."""
    if np.issubdtype(array.dtype, np.floating):
        finite = np.isfinite(array)
        rounded = np.rint(array, where=finite, out=np.zeros(array.shape, np.float64))
        off = int((~finite).sum() + (np.abs(array - rounded, where=finite, out=np.zeros(array.shape)) > ROUNDING).sum())
        if off:
            raise CaseError(f"{path}: labels must be integers (within {ROUNDING:g}), but {off} voxels are not")
        array = rounded.astype(np.int64)
    ids, counts = _ids_and_counts(array)
    allowed = None if known is None else {0, *known}
    wrong = [
        (i, n) for i, n in zip(ids, counts, strict=True)
        if not 0 <= i <= np.iinfo(np.uint16).max or (allowed is not None and i not in allowed)
    ]  # fmt: skip
    if wrong:
        listed = ", ".join(f"{i} ({n} voxels)" for i, n in wrong)
        raise CaseError(
            f"{path}: label ids must be in the dataset's table, but these are not: {listed}; "
            "name them in dataset.yaml, repair the label, or exclude the case under `exclude:`"
        )
    return array.astype(np.uint8 if max(ids, default=0) <= np.iinfo(np.uint8).max else np.uint16)


def _ids_and_counts(array: NDArray[np.generic]) -> tuple[list[int], list[int]]:
    """The values that occur, ascending, and how often; a count table where values are small, a sort elsewhere."""
    lowest, highest = int(array.min()), int(array.max())
    if highest - lowest <= np.iinfo(np.uint16).max:
        counts = np.bincount((array.astype(np.int64) - lowest).ravel())
        (found,) = np.nonzero(counts)
        return (found + lowest).tolist(), counts[found].tolist()
    ids, numbers = np.unique(array, return_counts=True)
    return ids.tolist(), numbers.tolist()


def _encoded(array: NDArray[np.generic], geometry: nib.Nifti1Header, grid: Grid) -> bytes:
    """Gzipped NIfTI with the geometry of another header and nothing else of it (headers may name patients)."""
    header = (nib.Nifti2Header if isinstance(geometry, nib.Nifti2Header) else nib.Nifti1Header)()
    header.set_data_dtype(array.dtype)
    header.set_data_shape(grid.shape)
    for field in ("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y",
                  "qoffset_z", "srow_x", "srow_y", "srow_z", "xyzt_units"):  # fmt: skip
        header[field] = geometry[field]
    header["pixdim"][:4] = geometry["pixdim"][:4]
    kind = nib.Nifti2Image if isinstance(geometry, nib.Nifti2Header) else nib.Nifti1Image
    image = kind(array, None, header=header)
    return gzip.compress(image.to_bytes(), COMPRESSION_LEVEL, mtime=0)
