"""Dice, surface Dice and distances of a label map and its reference: raw values, per organ.

Surface Dice is DeepMind's (Nikolov et al., 2018, arXiv:1809.04430): the share of both surfaces, by area, that lies
within a tolerance of the other surface. The numbers equal those of their code, but are computed differently: for all
organs at once, without distance transforms.

    label maps ──► surfaces: volumes, surface elements ──► nearest: elements within each tolerance ──► times area
                                                       └──► distances, if requested

Elements are counted by neighbour code and weighed by area afterwards: a sum of whole numbers does not depend on its
order. The values are raw, NaN where a metric is not defined; `conventions` replaces NaN by a named rule.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from coordinator.scoring.nearest import count_within, steps_within
from coordinator.scoring.settings import Distances, Scoring
from coordinator.scoring.surface_area_table import surface_areas
from coordinator.scoring.surfaces import (
    Cells,
    Elements,
    Labels,
    cells_around,
    count_voxels,
    row_ranges,
    surface_elements,
)

Mask = NDArray[np.bool_]
LabelMap = NDArray[np.integer[Any]]
Spacing = tuple[float, float, float]
T = TypeVar("T")

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
        reference_voxels: size in the reference, in all slices.
        prediction_voxels: size in the prediction, in all slices.
        reference_ml: the same in millilitres.
        prediction_ml: the same in millilitres.
        tolerance_mm: of `surface_dice`.
        surface_dice_also: surface Dice at each of the further tolerances.
        distances: None if they were not requested.
    """

    label: int
    organ: str
    dice: float
    surface_dice: float
    reference_voxels: int
    prediction_voxels: int
    reference_ml: float
    prediction_ml: float
    tolerance_mm: float
    surface_dice_also: tuple[float, ...] = ()
    distances: Distances | None = None


class UnknownIdsError(ValueError):
    """A label map holds ids that are neither background nor scored.

    Attributes:
        reference: unknown id -> voxels in the reference.
        prediction: unknown id -> voxels in the prediction.
    """

    def __init__(self, reference: dict[int, int], prediction: dict[int, int]) -> None:
        super().__init__(f"label maps must hold no other ids than those to score, but hold {reference}, {prediction}")
        self.reference = reference
        self.prediction = prediction


@dataclass(frozen=True, slots=True)
class _Grid:
    """The cells of a case, and its order of axes in memory.

    The order of axes changes the time to read rows, but no score. It does change the last bit of a distance, so steps
    between cells are measured with the axes in their original order.

    Attributes:
        spacing_mm: along x, y, z.
        cells: number of cells along x, y, z.
        order: axes in memory order, rows last.
    """

    spacing_mm: Spacing
    cells: tuple[int, int, int]
    order: tuple[int, int, int]

    def reorder_axes(self, xyz: tuple[T, T, T]) -> tuple[T, T, T]:
        """Reorder one value each for x, y, z to memory order."""
        first, second, third = self.order
        return xyz[first], xyz[second], xyz[third]


def dice(reference: Mask, prediction: Mask) -> float:
    """Twice the shared volume over the sum of both volumes.

    Args:
        reference: (X, Y, Z) mask.
        prediction: (X, Y, Z) mask on the same grid.

    Returns:
        A number in [0, 1]; NaN when both masks are empty.
    """
    return score_case(reference.astype(np.uint8), prediction.astype(np.uint8), (1, 1, 1), {1: ""}, Scoring(0.0))[0].dice


def surface_dice(reference: Mask, prediction: Mask, spacing_mm: Spacing, tolerance_mm: float) -> float:
    """The share of both surfaces, by area, that lies within a tolerance of the other one.

    Args:
        reference: (X, Y, Z) mask.
        prediction: (X, Y, Z) mask on the same grid.
        spacing_mm: of the voxels along x, y, z; rounded to 1e-6 mm.
        tolerance_mm: a distance of exactly the tolerance is within it.

    Returns:
        A number in [0, 1]; NaN when both masks are empty, 0 when one is. Outside of the volume counts as background: a
        mask that touches the volume's border has a surface there.
    """
    maps = reference.astype(np.uint8), prediction.astype(np.uint8)
    return score_case(*maps, spacing_mm, {1: ""}, Scoring(tolerance_mm))[0].surface_dice


def score_case(
    reference: LabelMap,
    prediction: LabelMap,
    spacing_mm: Spacing,
    labels: Mapping[int, str],
    scoring: Scoring,
) -> list[OrganScore]:
    """Score all organs of a case.

    Args:
        reference: (X, Y, Z) label map with ids in 0..65535, slices along Z; 0 is background.
        prediction: (X, Y, Z) label map on the same grid.
        spacing_mm: of the voxels along x, y, z; rounded to 1e-6 mm.
        labels: id, from 1 -> organ. Other ids are refused here, where they are counted anyway; a separate pass over the
            voxels would cost a sixth of the time.
        scoring: what to measure. Where the maps differ by the largest tolerance, time grows with its cube.

    Returns:
        One score for each organ, in the order of `labels`; raw values, NaN where neither map has the organ.

    Raises:
        ValueError: the grids differ, a tolerance is negative, or ids lie outside 0..65535.
        UnknownIdsError: a map holds ids that are not in `labels`.
    """
    if reference.ndim != 3 or reference.shape != prediction.shape:
        raise ValueError(
            f"reference and prediction must be volumes on one grid, but have shapes {reference.shape} "
            f"and {prediction.shape}"
        )
    for tolerance_mm in (scoring.tolerance_mm, *scoring.of_organ_mm.values(), *scoring.also_mm):
        if not tolerance_mm >= 0:
            raise ValueError(f"tolerance_mm must be at least 0, but it is {tolerance_mm}")
    scores = _score_in_all_slices(reference, prediction, spacing_mm, labels, scoring)
    return [
        _score_in_labelled_slices(reference, prediction, spacing_mm, score, scoring)
        if score.organ in scoring.labelled_slices and score.reference_voxels and score.prediction_voxels
        else score
        for score in scores
    ]


def _score_in_all_slices(
    reference: LabelMap, prediction: LabelMap, spacing_mm: Spacing, labels: Mapping[int, str], scoring: Scoring
) -> list[OrganScore]:
    """Score all organs in all slices."""
    grid = _make_grid(reference, spacing_mm)
    maps = _follow_memory_order(reference, prediction, grid.order, max(labels, default=0))
    ranges = row_ranges(*maps)
    voxels = count_voxels(*maps, ranges)
    _refuse_unknown_ids(voxels, labels)
    organ_of = np.zeros(len(voxels), np.uint16)
    for number, label in enumerate(labels, start=1):
        organ_of[label] = number
    cells = cells_around(ranges, maps[0].shape[2])
    pair = (
        surface_elements(maps[0], ranges, cells, organ_of),
        surface_elements(maps[1], ranges, cells, organ_of),
    )
    surface_scores = _surface_dice(pair, cells, grid, [scoring.tolerances_mm(organ) for organ in labels.values()])
    distances_by_organ: Iterator[Distances | None] = iter([None] * len(labels))
    if scoring.distances:
        from coordinator.scoring.distances import surface_distances  # here, since SciPy's trees take a second to import

        distances_by_organ = surface_distances(pair, cells, grid.reorder_axes(grid.spacing_mm), len(labels))
    ml = math.prod(grid.spacing_mm) / 1000
    scores = []
    for (label, organ), overlaps, distances in zip(labels.items(), surface_scores, distances_by_organ, strict=True):
        size, predicted_size, shared = voxels[label].tolist()
        scores.append(
            OrganScore(
                label, organ, _ratio(2 * shared, size + predicted_size), overlaps[0], size, predicted_size,
                size * ml, predicted_size * ml, scoring.tolerances_mm(organ)[0], overlaps[1:], distances,
            )
        )  # fmt: skip
    return scores


def _refuse_unknown_ids(voxels: NDArray[np.int64], labels: Mapping[int, str]) -> None:
    unknown = voxels[:, :2].copy()
    unknown[list(labels)] = 0
    if unknown.any():
        raise UnknownIdsError(*({int(i): int(counts[i]) for i in np.flatnonzero(counts)} for counts in unknown.T))


def _score_in_labelled_slices(
    reference: LabelMap, prediction: LabelMap, spacing_mm: Spacing, score: OrganScore, scoring: Scoring
) -> OrganScore:
    """Score one organ in the slices that hold it in the reference, without the last one, as FLARE22 does."""
    slices = np.flatnonzero((reference == score.label).any(axis=(0, 1)))
    part = np.s_[:, :, slices[0] : slices[-1]]
    masks = [(labels[part] == score.label).astype(np.uint8) for labels in (reference, prediction)]
    (inside,) = _score_in_all_slices(masks[0], masks[1], spacing_mm, {1: score.organ}, scoring)
    return replace(
        score,
        dice=inside.dice,
        surface_dice=inside.surface_dice,
        surface_dice_also=inside.surface_dice_also,
        distances=inside.distances,
    )


def _make_grid(label_map: LabelMap, spacing_mm: Spacing) -> _Grid:
    x, y, z = (round(float(step), SPACING_DIGITS) for step in spacing_mm)
    i, j, k = (n + 1 for n in label_map.shape)
    first, second, third = sorted(range(3), key=lambda axis: -abs(label_map.strides[axis]))
    return _Grid((x, y, z), (i, j, k), (first, second, third))


def _follow_memory_order(
    reference: LabelMap, prediction: LabelMap, order: tuple[int, int, int], largest_id: int
) -> tuple[Labels, Labels]:
    """Transpose and flip both maps to the reference's memory order, usually without a copy.

    The type of both maps can also hold `largest_id`.
    """
    forward = tuple(slice(None, None, -1 if stride < 0 else 1) for stride in reference.strides)
    wide = max(_largest_id(reference), _largest_id(prediction), largest_id) > np.iinfo(np.uint8).max
    dtype = np.uint16 if wide else np.uint8
    first, second = (np.transpose(label_map[forward], order) for label_map in (reference, prediction))
    return np.ascontiguousarray(first, dtype=dtype), np.ascontiguousarray(second, dtype=dtype)


def _largest_id(label_map: LabelMap) -> int:
    """An upper bound of the ids in a label map.

    Raises:
        ValueError: ids outside 0..65535.
    """
    if label_map.dtype in (np.uint8, np.uint16):
        return int(np.iinfo(label_map.dtype).max)
    lowest, highest = int(label_map.min(initial=0)), int(label_map.max(initial=0))
    if lowest < 0 or highest > np.iinfo(np.uint16).max:
        raise ValueError(f"label ids must lie in 0..65535, but go from {lowest} to {highest}")
    return highest


def _surface_dice(
    pair: tuple[Elements, Elements], cells: Cells, grid: _Grid, tolerances_mm: list[tuple[float, ...]]
) -> list[tuple[float, ...]]:
    """Surface Dice of each organ at each of its tolerances: area within the tolerance over area of both surfaces."""
    ascending = np.unique(np.array(tolerances_mm, np.float64))
    furthest = np.array([max(of_organ) for of_organ in tolerances_mm], np.float64)
    steps = steps_within(grid.spacing_mm, max(ascending, default=0.0), grid.cells).reorder_axes(grid.order)
    within = count_within(pair, cells, steps, ascending, furthest)
    areas = surface_areas(grid.reorder_axes(grid.spacing_mm))
    area_within = np.array([[float((counts * areas).sum()) for counts in of_organ.T] for of_organ in within])
    return [
        tuple(_ratio(reached[t], reached[-1]) for t in np.searchsorted(ascending, of_organ))
        for reached, of_organ in zip(area_within.tolist(), tolerances_mm, strict=True)
    ]


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
