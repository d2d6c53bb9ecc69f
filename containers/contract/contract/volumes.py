"""Reading and writing NIfTI volumes: the door at which bad files are refused, with a message that names the file.

    read_image(path)                  HU, turned to RAS+
    read_labels(path, image, labels)  label ids, turned onto the image's voxels
    read_label_pair(a, b)             label ids of two maps on one grid, not moved in memory
    write_labels(path, labels, image) label ids, on the grid and in the orientation in which the image was stored

Every byte is checked before a voxel is believed: nibabel accepts a wrong gzip checksum, SimpleITK fills a truncated
file with zeros. What was odd but acceptable is said in `Volume.notes`.
"""

import gzip
import hashlib
import importlib
import importlib.util
import math
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
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

# zlib-ng inflates three times as fast; who reads many label maps installs it, tools do without.
inflater: Any = importlib.import_module("zlib_ng.zlib_ng") if importlib.util.find_spec("zlib_ng") else zlib

LabelMap = NDArray[np.unsignedinteger[Any]]
"""(X, Y, Z) uint8, or uint16 where an id is above 255; 0 is background."""

ROUNDING = 1e-3
"""Labels stored as floats must lie this close to an integer."""
COMPRESSION_LEVEL = 6
COMPRESSED_PIECE, PIECE = 1 << 16, 1 << 20
"""Bytes that are inflated at once, before and after; what is made stays in the processor's cache until it is copied."""
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
    volume = replace(volume, array=np.array(volume.array, order="C"))
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
    grid = image if isinstance(image, Grid) else image.grid
    return np.array(_labels_on(path, grid, known), order="C")


def read_label_pair(reference: Path, prediction: Path) -> tuple[LabelMap, LabelMap, Grid]:
    """Read a label map, and another one that lies on its voxels.

    Args:
        reference: a .nii.gz file, stored in any orientation.
        prediction: a .nii.gz file that covers the same voxels, stored in any orientation.

    Returns:
        Two (X, Y, Z) label maps of any ids, and their RAS+ grid. The maps are views of what the files hold: in memory
        they lie in the files' order, since moving them takes longer than reading. For the same reason nobody has looked
        at their ids: who counts them anyway calls `refuse_unknown_ids`.

    Raises:
        CaseError: as `read_labels`, but for unknown ids.
    """
    volume = _read(reference)
    labels = _integers(reference, volume.array, None)
    return labels, _labels_on(prediction, volume.grid, None), volume.grid


def refuse_unknown_ids(path: Path, voxels: Mapping[int, int], known: Collection[int]) -> None:
    """Refuse a label map that holds ids beside 0 and those that are known.

    Args:
        path: of the label map.
        voxels: id -> how many voxels have it.
        known: ids that may occur beside 0.

    Raises:
        CaseError: unknown ids; all are listed.
    """
    unknown = {i: n for i, n in voxels.items() if n and i != 0 and i not in known}
    if unknown:
        raise CaseError(
            f"{path}: label ids must be in the dataset's table, but these are not: {_listed(unknown)}; "
            "name them in dataset.yaml, repair the label, or exclude the case under `exclude:`"
        )


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


def decompress(path: Path, content: bytes) -> NDArray[np.uint8]:
    """Inflate a gzip file, checking its checksum and that its stream ends.

    Raises:
        CaseError: empty, not gzip, truncated or corrupt.
    """
    if not content:
        raise CaseError(f"{path}: file must not be empty, but has zero bytes; copy it again")
    if content[:2] != b"\x1f\x8b":
        raise CaseError(f"{path}: file must be gzip, but is not; compress it, or rename it to what it is")
    # gzip ends with its size; a broken file ends with anything, but a byte never becomes more than 1032.
    room = np.empty(max(min(int.from_bytes(content[-4:], "little"), 1032 * len(content)), PIECE), np.uint8)
    size = 0
    while content:
        stream, fed, left = inflater.decompressobj(wbits=31), 0, b""
        while not stream.eof:
            if not left:
                left, fed = content[fed : fed + COMPRESSED_PIECE], fed + COMPRESSED_PIECE
            inflated = _inflated(path, stream, left)
            left = stream.unconsumed_tail
            if not (inflated or left or fed < len(content) or stream.eof):
                raise CaseError(f"{path}: gzip stream is truncated: it ends in the middle; copy the file again")
            if size + len(inflated) > len(room):
                room = np.concatenate([room[:size], np.empty(size + PIECE, np.uint8)])
            room[size : size + len(inflated)] = np.frombuffer(inflated, np.uint8)
            size += len(inflated)
        content = (stream.unused_data + content[fed:]).lstrip(b"\0")
    return room[:size]


def _inflated(path: Path, stream: Any, piece: bytes) -> bytes:  # noqa: ANN401 - of zlib or of zlib-ng
    try:
        return bytes(stream.decompress(piece, PIECE))
    except inflater.error as error:
        raise CaseError(f"{path}: gzip stream is corrupt ({error}); copy the file again") from None


def _read(path: Path) -> Volume:
    """Read any scalar 3D NIfTI file; its array is a view that is turned to RAS+, but not moved in memory."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CaseError(f"{path}: file must be readable, but: {error.strerror}") from None
    inflated = decompress(path, content)
    image = _parsed(path, inflated)
    shape = _shape_3d(path, image.shape)
    affine = _sound_affine(path, image)
    stored = Grid(shape, affine)
    orientation = canonical_orientation(affine)
    return Volume(
        array=oriented(_voxels(path, image, inflated).reshape(shape, order="F"), stored, orientation),
        grid=oriented_grid(stored, orientation),
        stored=stored,
        header=image.header,
        sha256=hashlib.sha256(content).hexdigest(),
        notes=_notes(image),
    )


def _parsed(path: Path, content: NDArray[np.uint8]) -> nib.Nifti1Image:
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


def _voxels(path: Path, image: nib.Nifti1Image, content: NDArray[np.uint8]) -> NDArray[np.generic]:
    """The voxels with the file's scale applied; integers without a scale stay as they are."""
    kind = image.get_data_dtype()
    if kind.fields is not None or not (np.issubdtype(kind, np.integer) or np.issubdtype(kind, np.floating)):
        what = "RGB" if kind.fields is not None else str(kind)
        raise CaseError(f"{path}: volume must have one number a voxel, but it is {what}; it is no CT and no label map")
    proxy = image.dataobj
    try:
        if _is_scaled(image):
            whole = type(image).from_bytes(content.tobytes())
            return np.asarray(whole.dataobj, dtype=np.float32)
        array = np.frombuffer(content, proxy.dtype, math.prod(image.shape), proxy.offset)
    except (OSError, ValueError) as error:
        raise CaseError(f"{path}: voxels are missing: {error}; copy the file again") from None
    return array.astype(array.dtype.newbyteorder("="), copy=False)


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


def _labels_on(path: Path, grid: Grid, known: Collection[int] | None) -> LabelMap:
    """Label ids of a file, as a view that is turned onto a grid."""
    volume = _read(path)
    try:
        orientation = orientation_onto(volume.grid, grid)
    except CaseError as error:
        raise CaseError(
            f"{path}: label and image: {error}; "
            "resample the label, or exclude the case under `exclude:` in dataset.yaml"
        ) from None
    return _integers(path, oriented(volume.array, volume.grid, orientation), known)


def _integers(path: Path, array: NDArray[np.generic], known: Collection[int] | None) -> LabelMap:
    """Turn stored label values to uint8 or uint16, or say what is wrong with them."""
    if np.issubdtype(array.dtype, np.floating):
        finite = np.isfinite(array)
        rounded = np.rint(array, where=finite, out=np.zeros(array.shape, np.float64))
        off = int((~finite).sum() + (np.abs(array - rounded, where=finite, out=np.zeros(array.shape)) > ROUNDING).sum())
        if off:
            raise CaseError(f"{path}: labels must be integers (within {ROUNDING:g}), but {off} voxels are not")
        array = rounded.astype(np.int64)
    if array.dtype == np.uint8 and known is None:
        return array.view(np.uint8)
    voxels = _voxels_of_ids(array)
    if known is not None:
        refuse_unknown_ids(path, voxels, known)
    outside = {i: n for i, n in voxels.items() if not 0 <= i <= np.iinfo(np.uint16).max}
    if outside:
        raise CaseError(
            f"{path}: label ids must lie in 0..65535, but these do not: {_listed(outside)}; repair the label"
        )
    return array.astype(np.uint8 if max(voxels, default=0) <= np.iinfo(np.uint8).max else np.uint16, copy=False)


def _listed(voxels: Mapping[int, int]) -> str:
    return ", ".join(f"{i} ({n} voxels)" for i, n in voxels.items())


def _voxels_of_ids(array: NDArray[np.generic]) -> dict[int, int]:
    """How often each value occurs, ascending; a count table where values are small, a sort elsewhere."""
    if array.dtype in (np.uint8, np.uint16):
        counts, lowest = _counts_of_small(array), 0
    else:
        lowest, highest = int(array.min()), int(array.max())
        if highest - lowest > np.iinfo(np.uint16).max:
            ids, numbers = np.unique(array, return_counts=True)
            return dict(zip(ids.tolist(), numbers.tolist(), strict=True))
        counts = np.bincount((array.astype(np.int64) - lowest).ravel())
    (found,) = np.nonzero(counts)
    return dict(zip((found + lowest).tolist(), counts[found].tolist(), strict=True))


def _counts_of_small(array: NDArray[np.generic]) -> NDArray[np.int64]:
    """How often each of 0, 1, ... occurs; background, most of the voxels, is passed over eight bytes at a time."""
    forward = array[tuple(slice(None, None, -1 if stride < 0 else 1) for stride in array.strides)]
    flat = forward.ravel(order="K")
    whole = flat.size // (8 // flat.itemsize) * (8 // flat.itemsize)
    words = flat[:whole].view(np.uint64)
    counts = np.bincount(words[words != 0].view(flat.dtype), minlength=1)
    every = np.bincount(flat[whole:], minlength=len(counts))
    every[: len(counts)] += counts
    every[0] = array.size - every[1:].sum()
    return every


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
