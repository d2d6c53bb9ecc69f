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
from contract.grids import Grid, canonical_orientation, inverse_orientation, orient, orientation_onto
from contract.labelmaps import LabelCollector, LabelMap, small_label_map
from contract.niftifiles import (
    FileEnd,
    NiftiReader,
    encode_image,
    encode_labels,
    open_nifti,
    read_voxels,
    require_memory,
)
from contract.niftiheaders import NiftiHeader


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
    with open_nifti(path) as reader:
        array = read_voxels(reader)
        volume = _turn_to_ras(array, reader.header, reader.finish())
        del array
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


def view_labels(path: Path, grid: Grid) -> LabelMap:
    """Read a label map of any ids as `read_labels` does, but not moved in memory: a view that is quick to make.

    Args:
        path: a .nii.gz file that covers the grid's voxels, stored in any orientation.
        grid: the image's RAS+ grid.

    Raises:
        CaseError: as `read_labels`.
    """
    return _read_labels_onto(path, grid, None)


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
    with open_nifti(reference) as reader:
        labels, grid = _read_ras_labels(reference, reader, None)
    return labels, _read_labels_onto(prediction, grid, None), grid


def read_grid(path: Path) -> Grid:
    """The RAS+ grid of a file, from its header alone: its voxels may still be missing or corrupt.

    Raises:
        CaseError: as `read_image`, of the header.
    """
    return read_header(path).canonical_grid


def read_header(path: Path) -> NiftiHeader:
    """What a file announces; its voxels may still be missing or corrupt.

    Raises:
        CaseError: as `read_image`, of the header.
    """
    with open_nifti(path) as reader:
        return reader.header


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


def _turn_to_ras(array: NDArray[np.generic], header: NiftiHeader, end: FileEnd) -> Volume:
    """The volume of a file; its array is a view that is turned to RAS+, but not moved in memory."""
    return Volume(
        array=orient(array, header.grid, canonical_orientation(header.grid.affine)),
        grid=header.canonical_grid,
        stored=header.grid,
        header=header.fields,
        sha256=end.sha256,
        notes=end.notes,
    )


def _read_labels_onto(path: Path, grid: Grid, known: Collection[int] | None) -> LabelMap:
    """Label ids of a file, as a view that is turned onto a grid."""
    with open_nifti(path) as reader:
        try:
            orientation = orientation_onto(reader.header.canonical_grid, grid)
        except CaseError as error:
            raise CaseError(
                f"{path}: label and image: {error}; "
                "resample the label, or exclude the case under `exclude:` in dataset.yaml"
            ) from None
        labels, own_grid = _read_ras_labels(path, reader, known)
        return orient(labels, own_grid, orientation)


def _read_ras_labels(path: Path, reader: NiftiReader, known: Collection[int] | None) -> tuple[LabelMap, Grid]:
    """Label ids of a file as a view that is turned to RAS+, and their grid; wide numbers are never whole in memory."""
    header = reader.header
    if header.dtype.itemsize <= 2 and np.issubdtype(header.dtype, np.unsignedinteger) and not header.is_scaled:
        stored = reader.read_stored()
        reader.finish()
        labels = small_label_map(path, stored, known)
    else:
        require_memory(3 * header.voxels)  # ids of two bytes, then of one
        collector = LabelCollector(path, header.voxels)
        for block in reader.read_blocks():
            collector.add(block)
        reader.finish()
        labels = collector.finish(known)
    turned = orient(
        labels.reshape(header.grid.shape, order="F"), header.grid, canonical_orientation(header.grid.affine)
    )
    return turned, header.canonical_grid
