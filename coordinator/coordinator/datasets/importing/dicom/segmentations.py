"""Masks of the segments of a SEG object, on the grid of the images."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.pixels.utils import iter_pixels

from contract.errors import CaseError
from contract.grids import Grid
from coordinator.datasets.importing.dicom.frames import functional_group
from coordinator.datasets.importing.dicom.slices import PLACE_TOLERANCE_MM, TO_RAS

HALF = 0.5
"""Share of a voxel of a fractional segment, from which on it belongs to the organ."""

MakeMask = Callable[[], NDArray[np.bool_]]


def segment_masks(path: Path, grid: Grid) -> Mapping[int, MakeMask]:
    """Number of each segment -> what makes its (X, Y, Z) mask; its frames are decoded one at a time.

    Args:
        path: of the object.
        grid: of (column, row, slice), in RAS mm.

    Raises:
        CaseError: also when a mask is made: a frame lies on other voxels than the images have.
    """
    header = dcmread(path)
    frames = list(header.PerFrameFunctionalGroupsSequence)
    affines = [_frame_affine(header, frame) for frame in frames]
    kind = str(header.SegmentationType)
    if kind == "LABELMAP":
        numbers = [int(item.SegmentNumber) for item in header.SegmentSequence]
        places = {number: list(range(len(frames))) for number in numbers if number}
    else:
        places = defaultdict(list, {int(item.SegmentNumber): [] for item in header.SegmentSequence})
        for index, frame in enumerate(frames):
            identity = _require_group(header, frame, "SegmentIdentificationSequence")
            places[int(identity.ReferencedSegmentNumber)].append(index)

    def make(number: int) -> NDArray[np.bool_]:
        mask = np.zeros(grid.shape, np.bool_)
        indices = places[number]
        decoded = iter_pixels(header, indices=indices) if indices else iter(())
        for index, frame in zip(indices, decoded, strict=True):
            _put_frame(mask, _inside(header, frame, kind, number), affines[index], grid)
        return mask

    return {number: (lambda number=number: make(number)) for number in places}  # type: ignore[misc]


def _inside(header: Dataset, frame: NDArray[np.generic], kind: str, number: int) -> NDArray[np.bool_]:
    """(rows, columns) voxels of a frame that belong to a segment."""
    if kind == "LABELMAP":
        return np.asarray(np.equal(frame, number))
    least = HALF * int(header.MaximumFractionalValue) if kind == "FRACTIONAL" else 1
    return np.asarray(np.greater_equal(frame, least))


def _put_frame(mask: NDArray[np.bool_], inside: NDArray[np.bool_], affine: NDArray[np.float64], grid: Grid) -> None:
    """Set the voxels of a frame.

    Args:
        mask: (X, Y, Z), changed.
        inside: (rows, columns) of the frame.
        affine: (4, 4) (column, row, 0) of the frame -> RAS mm.
        grid: of the mask.
    """
    pixels = np.argwhere(inside)[:, ::-1]
    if not len(pixels):
        return
    columns, rows = inside.shape[::-1]
    ends = np.array([[0, 0], [columns - 1, rows - 1], [0, rows - 1]])
    to_voxels = np.linalg.inv(grid.affine) @ affine
    off = _apply(to_voxels, ends)
    off_mm = float(np.linalg.norm((off - np.rint(off)) * np.array(grid.spacing_mm), axis=1).max())
    spacing = np.linalg.norm(affine[:3, :2], axis=0)
    steps = np.linalg.norm(to_voxels[:3, :2], axis=0)
    if off_mm > PLACE_TOLERANCE_MM or np.abs((steps - 1) * spacing * (columns, rows)).max() > PLACE_TOLERANCE_MM:
        raise CaseError(
            f"segments must lie on the voxels of the images, but a frame is {max(off_mm, 0):.2g} mm off them, with "
            f"pixels of {spacing[0]:.4g} x {spacing[1]:.4g} mm; export it on the grid of the images"
        )
    voxels = np.rint(_apply(to_voxels, pixels)).astype(np.intp)
    if (outside := ((voxels < 0) | (voxels >= grid.shape)).any(axis=1)).any():
        raise CaseError(
            f"segments must lie within the images, but {int(outside.sum())} voxels of a frame lie outside; is it of "
            "another series, or are slices missing at an end?"
        )
    mask[tuple(voxels.T)] = True


def _apply(to_voxels: NDArray[np.float64], pixels: NDArray[np.integer]) -> NDArray[np.float64]:
    return np.asarray(pixels @ to_voxels[:3, :2].T + to_voxels[:3, 3])


def _frame_affine(header: Dataset, frame: Dataset) -> NDArray[np.float64]:
    """(column, row, 0) of a frame -> RAS mm."""
    axes = np.array(
        _require_group(header, frame, "PlaneOrientationSequence").ImageOrientationPatient, np.float64
    ).reshape(2, 3)
    row_mm, column_mm = (float(value) for value in _require_group(header, frame, "PixelMeasuresSequence").PixelSpacing)
    position = np.array(_require_group(header, frame, "PlanePositionSequence").ImagePositionPatient, np.float64)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = axes[0] * column_mm * TO_RAS, axes[1] * row_mm * TO_RAS
    affine[:3, 3] = position * TO_RAS
    return affine


def _require_group(header: Dataset, frame: Dataset, keyword: str) -> Dataset:
    group = functional_group(header, frame, keyword)
    if group is None:
        raise CaseError(f"frames must state {keyword}, but one doesn't; export it again")
    return group
