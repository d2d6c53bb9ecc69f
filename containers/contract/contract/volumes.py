"""Reading and writing NIfTI volumes; bad files are refused here, with a message that names the file.

    read_image(path)                  HU, turned to RAS+
    read_labels(path, image, labels)  label ids, turned onto the image's voxels
    read_label_pair(a, b)             label ids of two maps on one grid, not moved in memory
    write_labels(path, labels, image) label ids, on the grid and in the orientation in which the image was stored

The whole file is checked before a voxel is used: nibabel accepts a wrong gzip checksum, SimpleITK fills a truncated
file with zeros. `Volume.notes` says what was odd but acceptable.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from contract import atomic
from contract.errors import CaseError, ContractError
from contract.grids import Grid, canonical_orientation, inverse_orientation, orient, orient_grid, orientation_onto
from contract.gzipfiles import decompress
from contract.labelmaps import LabelMap, to_label_map
from contract.niftifiles import encode_image, encode_labels, parse_nifti


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
    return np.array(_read_labels_onto(path, grid, known), order="C")


def read_label_pair(reference: Path, prediction: Path) -> tuple[LabelMap, LabelMap, Grid]:
    """Read a label map, and another one that lies on its voxels.

    Args:
        reference: a .nii.gz file, stored in any orientation.
        prediction: a .nii.gz file that covers the same voxels, stored in any orientation.

    Returns:
        Two (X, Y, Z) label maps of any ids, and their RAS+ grid. The maps are views of what the files hold: in memory
        they lie in the files' order, since moving them takes longer than reading. Their ids are not checked either: a
        caller that counts them anyway calls `labelmaps.refuse_unknown_ids`.

    Raises:
        CaseError: as `read_labels`, but for unknown ids.
    """
    volume = _read(reference)
    labels = to_label_map(reference, volume.array, None)
    return labels, _read_labels_onto(prediction, volume.grid, None), volume.grid


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
    stored = orient(small, image.grid, inverse_orientation(canonical_orientation(image.stored.affine)))
    content = encode_labels(stored, image.header, image.stored)
    atomic.write_bytes(path, content)
    return hashlib.sha256(content).hexdigest()


def write_image(path: Path, array: NDArray[np.generic], affine: NDArray[np.float64]) -> str:
    """Write an image with a given affine (sform and qform, code 1), in one step; returns its sha256.

    Args:
        path: the .nii.gz file to make or replace.
        array: (X, Y, Z) voxels in HU.
        affine: (4, 4) voxel -> RAS mm.
    """
    content = encode_image(array, affine)
    atomic.write_bytes(path, content)
    return hashlib.sha256(content).hexdigest()


def _read(path: Path) -> Volume:
    """Read any scalar 3D NIfTI file; its array is a view that is turned to RAS+, but not moved in memory."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CaseError(f"{path}: file must be readable, but: {error.strerror}") from None
    stored = parse_nifti(path, decompress(path, content))
    orientation = canonical_orientation(stored.grid.affine)
    return Volume(
        array=orient(stored.array, stored.grid, orientation),
        grid=orient_grid(stored.grid, orientation),
        stored=stored.grid,
        header=stored.header,
        sha256=hashlib.sha256(content).hexdigest(),
        notes=stored.notes,
    )


def _read_labels_onto(path: Path, grid: Grid, known: Collection[int] | None) -> LabelMap:
    """Label ids of a file, as a view that is turned onto a grid."""
    volume = _read(path)
    try:
        orientation = orientation_onto(volume.grid, grid)
    except CaseError as error:
        raise CaseError(
            f"{path}: label and image: {error}; "
            "resample the label, or exclude the case under `exclude:` in dataset.yaml"
        ) from None
    return to_label_map(path, orient(volume.array, volume.grid, orientation), known)
