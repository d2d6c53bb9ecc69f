"""Dice and surface Dice of a label map against its reference: raw values, per organ.

Surface Dice is DeepMind's (Nikolov et al., 2018, arXiv:1809.04430): the share of both surfaces, by area, that lies
within `tolerance_mm` of the other surface. It is the same number as their code gives, made in another way: the surface
elements of all organs are found in one pass over each map, so a stray false positive in a far corner costs little.

    label maps ──► cells of 2x2x2 voxels that are not of one label ──► per organ: neighbour code ──► area
                                                                                └──► distance to the other surface

Values here are raw, NaN where a metric is not defined; `conventions` makes numbers of them, by a rule with a name.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from coordinator.surface_area_table import CODES, CORNERS, surface_areas

Mask = NDArray[np.bool_]
LabelMap = NDArray[np.integer[Any]]
Spacing = tuple[float, float, float]

SPACING_DIGITS = 6
"""Spacing is rounded to 1e-6 mm: NIfTI keeps it as float32, and 0.8 read as 0.800000012 moves ties at the tolerance."""


@dataclass(frozen=True, slots=True)
class OrganScore:
    """One organ of one case.

    Attributes:
        label: id of the organ.
        organ: its name.
        dice: in [0, 1]; NaN when neither map has the organ.
        surface_dice: in [0, 1]; NaN when neither map has the organ, 0 when only one has.
        reference_voxels: size in the reference.
        prediction_voxels: size in the prediction.
        reference_ml: the same in millilitres.
        prediction_ml: the same in millilitres.
    """

    label: int
    organ: str
    dice: float
    surface_dice: float
    reference_voxels: int
    prediction_voxels: int
    reference_ml: float
    prediction_ml: float


@dataclass(frozen=True, slots=True, eq=False)
class _Surface:
    """Surface elements of one organ.

    Attributes:
        cells: (N,) sorted flat indices of the 2x2x2 cells that hold an element.
        codes: (N,) neighbour code of each.
    """

    cells: NDArray[np.intp]
    codes: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """All cells of a label map that are not of one label; surfaces of all organs lie in them.

    Attributes:
        flat: (N,) sorted flat indices of the cells.
        corners: (N, 8) labels of their voxels, in the order of a neighbour code's bits.
    """

    flat: NDArray[np.intp]
    corners: LabelMap

    def surface(self, label: int) -> _Surface:
        """The surface of one organ."""
        codes = np.packbits(self.corners == label, axis=1)[:, 0]
        there = (codes != 0) & (codes != CODES - 1)
        return _Surface(self.flat[there], codes[there])


def dice(reference: Mask, prediction: Mask) -> float:
    """Twice the shared volume over the sum of both volumes.

    Args:
        reference: (X, Y, Z) mask.
        prediction: (X, Y, Z) mask on the same grid.

    Returns:
        A number in [0, 1]; NaN when both masks are empty.
    """
    _refuse_other_grid(reference, prediction)
    shared, whole = (reference & prediction).sum(), reference.sum() + prediction.sum()
    return _ratio(2 * int(shared), int(whole))


def surface_dice(reference: Mask, prediction: Mask, spacing_mm: Spacing, tolerance_mm: float) -> float:
    """The share of both surfaces, by area, that lies within a tolerance of the other one.

    Args:
        reference: (X, Y, Z) mask.
        prediction: (X, Y, Z) mask on the same grid.
        spacing_mm: of the voxels along x, y, z; rounded to 1e-6 mm.
        tolerance_mm: a distance of exactly that still counts as within.

    Returns:
        A number in [0, 1]; NaN when both masks are empty, 0 when one is. The volume's border counts as outside: a mask
        that touches it has a surface there.
    """
    label_maps = reference.astype(np.uint8), prediction.astype(np.uint8)
    return score_case(*label_maps, spacing_mm, {1: ""}, tolerance_mm)[0].surface_dice


def score_case(
    reference: LabelMap, prediction: LabelMap, spacing_mm: Spacing, labels: Mapping[int, str], tolerance_mm: float
) -> list[OrganScore]:
    """Score all organs of a case.

    Args:
        reference: (X, Y, Z) label map.
        prediction: (X, Y, Z) label map on the same grid.
        spacing_mm: of the voxels along x, y, z; rounded to 1e-6 mm.
        labels: id -> organ of those to score; other ids count as background.
        tolerance_mm: of surface Dice, at least 0.

    Returns:
        A score an organ, in the order of `labels`; raw values, NaN where neither map has the organ.

    Raises:
        ValueError: two grids, or a negative tolerance.
    """
    _refuse_other_grid(reference, prediction)
    if not tolerance_mm >= 0:
        raise ValueError(f"tolerance_mm must be at least 0, but it is {tolerance_mm}")
    x, y, z = (round(float(step), SPACING_DIGITS) for step in spacing_mm)
    if abs(reference.strides[0]) < abs(reference.strides[2]):
        # NIfTI's order in memory. The scores don't depend on the order of axes, but their time does.
        reference, prediction, (x, y, z) = reference.T, prediction.T, (z, y, x)
    box = _foreground(reference, prediction)
    maps = tuple(np.pad(label_map[box], 1) for label_map in (reference, prediction))
    volumes = [_volumes(label_map, labels) for label_map in (*maps, np.where(maps[0] == maps[1], maps[0], 0))]
    cells = [_mixed_cells(label_map) for label_map in maps]
    scores = []
    for label, organ in labels.items():
        truth, found, shared = (volume[label] for volume in volumes)
        surfaces = (cells[0].surface(label), cells[1].surface(label)) if truth or found else None
        overlap = _overlap(*surfaces, _shape(maps[0]), (x, y, z), tolerance_mm) if surfaces else math.nan
        ml = x * y * z / 1000
        overlap_of_volumes = _ratio(2 * shared, truth + found)
        scores.append(OrganScore(label, organ, overlap_of_volumes, overlap, truth, found, truth * ml, found * ml))
    return scores


def _refuse_other_grid(reference: NDArray[Any], prediction: NDArray[Any]) -> None:
    if reference.ndim != 3 or reference.shape != prediction.shape:
        raise ValueError(
            f"reference and prediction must be volumes on one grid, but have shapes {reference.shape} "
            f"and {prediction.shape}"
        )


def _foreground(*label_maps: LabelMap) -> tuple[slice, ...]:
    """The smallest box that holds what is not background; empty where there is nothing."""
    box: tuple[slice, ...] = (slice(None),) * 3
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        rows = np.flatnonzero(np.logical_or(*((label_map[box] != 0).any(axis=others) for label_map in label_maps)))
        extent = slice(int(rows[0]), int(rows[-1]) + 1) if rows.size else slice(0, 0)
        box = (*box[:axis], extent, *box[axis + 1 :])
    return box


def _volumes(label_map: LabelMap, labels: Mapping[int, str]) -> dict[int, int]:
    """Label id -> count of voxels."""
    counts = np.bincount(label_map[label_map != 0], minlength=max(labels, default=0) + 1)
    return {label: int(counts[label]) for label in labels}


def _mixed_cells(label_map: LabelMap) -> _Cells:
    """Cells of 2x2x2 voxels that hold more than one label, of a map with a border of background."""
    lowest = highest = label_map
    for axis in range(3):
        here, after = (slice(None),) * axis + (slice(-1),), (slice(None),) * axis + (slice(1, None),)
        lowest = np.minimum(lowest[here], lowest[after])
        highest = np.maximum(highest[here], highest[after])
    where = np.nonzero(lowest != highest)
    corners = np.stack(
        [label_map[tuple(w + c for w, c in zip(where, corner, strict=True))] for corner in CORNERS], axis=1
    )
    return _Cells(np.ravel_multi_index(where, _shape(label_map)), corners)


def _overlap(
    reference: _Surface, prediction: _Surface, shape: tuple[int, int, int], spacing_mm: Spacing, tolerance_mm: float
) -> float:
    """Area within tolerance over area of both surfaces.

    Elements are counted per neighbour code and weighed after that: a sum of integers does not depend on its order.
    """
    everything = _count(reference.codes) + _count(prediction.codes)
    within = np.zeros(CODES, np.intp)
    for surface, other in ((reference, prediction), (prediction, reference)):
        near = _is_near(surface.cells, other.cells, shape, spacing_mm, tolerance_mm)
        within += _count(surface.codes[near])
    areas = surface_areas(spacing_mm)
    return _ratio(float((within * areas).sum()), float((everything * areas).sum()))


def _is_near(
    cells: NDArray[np.intp],
    others: NDArray[np.intp],
    shape: tuple[int, int, int],
    spacing_mm: Spacing,
    tolerance_mm: float,
) -> Mask:
    """Which cells have one of the others within the tolerance."""
    near = np.isin(cells, others, assume_unique=True)
    if near.all() or not others.size:
        return near
    apart = np.flatnonzero(~near)
    from_here, to_there = _indices(cells[apart], shape), _indices(others, shape)
    # The tree only says which one is nearest; its distance is DeepMind's float64 expression, so that ties are theirs.
    reach = tolerance_mm * (1 + 1e-6) + 1e-9
    tree = cKDTree(to_there * spacing_mm)
    nearest = np.asarray(tree.query(from_here * spacing_mm, distance_upper_bound=reach)[1])
    in_reach = nearest < len(others)
    steps_mm = (from_here[in_reach] - to_there[nearest[in_reach]]) * np.array(spacing_mm)
    near[apart[in_reach]] = np.sqrt((steps_mm * steps_mm).sum(axis=1)) <= tolerance_mm
    return near


def _indices(cells: NDArray[np.intp], shape: tuple[int, int, int]) -> NDArray[np.intp]:
    """(N, 3) indices of cells."""
    return np.stack(np.unravel_index(cells, shape), axis=1)


def _count(codes: NDArray[np.uint8]) -> NDArray[np.intp]:
    return np.bincount(codes, minlength=CODES)


def _shape(label_map: LabelMap) -> tuple[int, int, int]:
    x, y, z = label_map.shape
    return x, y, z


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
