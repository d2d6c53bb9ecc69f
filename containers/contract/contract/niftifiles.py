"""NIfTI files: header and voxels as stored, refused where they are no sound CT volume or label map."""

import math
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from contract.errors import CaseError
from contract.grids import Grid
from contract.gzipfiles import compress

NEARLY_SINGULAR = 1e-6
"""Smallest ratio of voxel volume to the product of the spacings; a real shear is far above it."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredImage:
    """A scalar 3D NIfTI file as it is stored.

    Attributes:
        array: (X, Y, Z) voxels, a view of the file's bytes unless the file has a scale.
        grid: its shape and affine.
        header: of the file.
        notes: what was odd about the file and how it was read.
    """

    array: NDArray[np.generic]
    grid: Grid
    header: nib.Nifti1Header
    notes: tuple[str, ...]


def parse_nifti(path: Path, content: NDArray[np.uint8]) -> StoredImage:
    """Parse the bytes of a NIfTI-1 or NIfTI-2 file.

    Raises:
        CaseError: not NIfTI, not one scalar 3D volume, a singular affine, or missing voxels.
    """
    image = _parse_header(path, content)
    grid = Grid(_shape_3d(path, image.shape), _sound_affine(path, image))
    array = _scaled_voxels(path, image, content).reshape(grid.shape, order="F")
    return StoredImage(array, grid, image.header, _describe_oddities(image))


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


def _parse_header(path: Path, content: NDArray[np.uint8]) -> nib.Nifti1Image:
    """Parse the header of NIfTI-1 or NIfTI-2 bytes; the image has no voxels."""
    first = content[:4].tobytes()
    kind = nib.Nifti2Image if first in (b"\x1c\x02\0\0", b"\0\0\x02\x1c") else nib.Nifti1Image
    length = kind.header_class.sizeof_hdr
    try:
        header = kind.header_class(content[:length].tobytes(), check=False)
        return kind.from_bytes(content[: max(int(header["vox_offset"]), length + 4)].tobytes())
    except (ImageFileError, HeaderDataError, ValueError, OverflowError) as error:
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


def _scaled_voxels(path: Path, image: nib.Nifti1Image, content: NDArray[np.uint8]) -> NDArray[np.generic]:
    """The voxels with the file's scale applied; integers without a scale stay as they are."""
    kind = image.get_data_dtype()
    if kind.fields is not None or not (np.issubdtype(kind, np.integer) or np.issubdtype(kind, np.floating)):
        what = "RGB" if kind.fields is not None else str(kind)
        raise CaseError(f"{path}: volume must have one number a voxel, but it is {what}; it is no CT and no label map")
    proxy = image.dataobj
    try:
        if _is_scaled(image):
            with_voxels = type(image).from_bytes(content.tobytes())
            return np.asarray(with_voxels.dataobj, dtype=np.float32)
        array = np.frombuffer(content, proxy.dtype, math.prod(image.shape), proxy.offset)
    except (OSError, ValueError) as error:
        raise CaseError(f"{path}: voxels are missing: {error}; copy the file again") from None
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _is_scaled(image: nib.Nifti1Image) -> bool:
    """Whether stored numbers and voxel values differ by a slope or an intercept."""
    return (image.dataobj.slope, image.dataobj.inter) != (1.0, 0.0)


def _describe_oddities(image: nib.Nifti1Image) -> tuple[str, ...]:
    """What is odd about this header and how the file was read."""
    header = image.header
    qform_code, sform_code = int(header["qform_code"]), int(header["sform_code"])
    notes = []
    if qform_code == 0 and sform_code == 0:
        notes.append("no orientation: sform and qform codes are 0; nibabel's fallback was used (LAS, centred)")
    if qform_code > 0 and sform_code > 0:
        distance_mm = _distance_of_forms_mm(image)
        if distance_mm > 0.01:
            notes.append(f"qform and sform disagree by {distance_mm:.3g} mm; the sform was used")
    if _is_scaled(image):
        notes.append(
            f"scaled voxels: slope {image.dataobj.slope:.6g}, intercept {image.dataobj.inter:.6g} were applied"
        )
    return tuple(notes)


def _distance_of_forms_mm(image: nib.Nifti1Image) -> float:
    """Largest distance between a corner's places by sform and by qform; 0 where the header holds no valid qform."""
    try:
        qform = image.header.get_qform()
    except (HeaderDataError, ValueError):
        return 0.0
    shape = (image.shape[0], image.shape[1], image.shape[2])
    return Grid(shape, np.asarray(qform)).distance_mm(Grid(shape, np.asarray(image.header.get_sform())))
