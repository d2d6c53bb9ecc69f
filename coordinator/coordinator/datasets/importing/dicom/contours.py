"""Masks of the contours of an RTSTRUCT object, on the grid of the images.

A voxel belongs to a structure where an odd number of its contours in that slice encloses the voxel's centre, so that a
contour within another is a hole; a centre on a contour counts as enclosed.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.path import Path as Polygon
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from scipy.ndimage import binary_dilation

from contract.errors import CaseError
from contract.grids import Grid
from coordinator.datasets.importing.dicom.labelobjects import LABEL_TAGS, closed_contours, organ_name
from coordinator.datasets.importing.dicom.segmentations import MakeMask
from coordinator.datasets.importing.dicom.slices import PLACE_TOLERANCE_MM, TO_RAS

ON_CONTOUR = 0.02
"""Of a voxel, within which a centre lies on a contour: programs that draw masks put corners on centres, and write them
with two decimals of a mm, so that they are 0.005 mm off; that is 0.014 of the finest pixels of a CT, of 0.35 mm."""
SHIFTS = ON_CONTOUR * np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
"""A centre on a contour is enclosed after a shift in one of these directions."""
FEWEST_POINTS = 3
"""Of a contour that encloses something."""


def structure_masks(path: Path, grid: Grid) -> Mapping[int, MakeMask]:
    """Number of each structure with closed contours -> what makes its (X, Y, Z) mask.

    Args:
        path: of the object.
        grid: of (column, row, slice), in RAS mm.

    Raises:
        CaseError: also when a mask is made: a contour lies off the slices.
    """
    header = dcmread(path, specific_tags=list(LABEL_TAGS))
    names = {int(roi.ROINumber): roi.get("ROIName") for roi in header.StructureSetROISequence}
    return {
        number: partial(_draw, organ_name(names.get(number), number), [_read_numbers(item) for item in items], grid)
        for number, items in closed_contours(header).items()
        if items
    }


def _read_numbers(contour: Dataset) -> NDArray[np.float64]:
    """The coordinates of a contour, converted all at once: pydicom makes an object of each."""
    value = contour.get_item("ContourData").value
    return np.array(value.split(b"\\") if isinstance(value, bytes) else value, np.float64)


def _draw(organ: str, contours: Sequence[NDArray[np.float64]], grid: Grid) -> NDArray[np.bool_]:
    """(X, Y, Z) mask of contours."""
    mask = np.zeros(grid.shape, np.bool_)
    by_slice: dict[int, list[NDArray[np.float64]]] = defaultdict(list)
    for numbers in contours:
        points, number = _place(organ, numbers, grid)
        if len(points) >= FEWEST_POINTS:
            by_slice[number].append(points)
    for number, polygons in by_slice.items():
        mask[:, :, number] = fill(polygons, grid.shape[:2])
    return mask


def fill(polygons: Sequence[NDArray[np.float64]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Fill polygons by the rule of odd numbers.

    Args:
        polygons: each (N, 2) corners, in voxels.
        shape: (X, Y) of the slice.
    """
    ends = np.concatenate(polygons)
    low = np.clip(np.floor(ends.min(axis=0)).astype(int), 0, shape)
    high = np.clip(np.ceil(ends.max(axis=0)).astype(int) + 1, low, shape)
    centres = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), axis=-1).reshape(-1, 2)
    inside = _enclose(polygons, centres + SHIFTS[0]).reshape(high - low)
    # Centres on a contour lie beside others that it encloses, if it encloses any.
    beside = binary_dilation(inside, np.ones((3, 3), np.bool_)) & ~inside if inside.any() else ~inside
    inside[beside] = np.any([_enclose(polygons, centres[beside.ravel()] + shift) for shift in SHIFTS[1:]], axis=0)
    mask = np.zeros(shape, np.bool_)
    mask[low[0] : high[0], low[1] : high[1]] = inside
    return mask


def _enclose(polygons: Sequence[NDArray[np.float64]], points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether an odd number of polygons encloses each of (N, 2) points."""
    is_odd = np.zeros(len(points), np.bool_)
    for polygon in polygons:
        is_odd ^= Polygon(polygon).contains_points(points)
    return is_odd


def _place(organ: str, numbers: NDArray[np.float64], grid: Grid) -> tuple[NDArray[np.float64], int]:
    """The corners of a contour in voxels of its slice, (N, 2), and the slice's number."""
    points = numbers.reshape(-1, 3) * TO_RAS
    voxels = (points - grid.affine[:3, 3]) @ np.linalg.inv(grid.affine[:3, :3]).T
    number = int(np.rint(np.median(voxels[:, 2])))
    off_mm = float(np.abs(voxels[:, 2] - number).max() * grid.spacing_mm[2])
    if off_mm > PLACE_TOLERANCE_MM or not 0 <= number < grid.shape[2]:
        where = f"is {off_mm:.2g} mm off the nearest" if 0 <= number < grid.shape[2] else "lies beyond the last one"
        raise CaseError(
            f"contours must lie on the slices of the images, but one of {organ} {where}; is it of another series, or "
            "was it drawn in another plane?"
        )
    return voxels[:, :2], number
