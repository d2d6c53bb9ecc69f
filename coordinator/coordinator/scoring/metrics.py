"""Dice, surface Dice and distances of a label map and its reference: raw values, per organ.

Surface Dice is DeepMind's (Nikolov et al., 2018, arXiv:1809.04430): the share of both surfaces, by area, that lies
within a tolerance of the other surface. It is the same number as their code gives, made in another way: all organs at
once, without distance transforms.

    label maps ──► surfaces: volumes, surface elements ──► nearest: elements within each tolerance ──► times area
                                                       └──► distances, where they are asked for

Elements are counted by neighbour code and weighed after that: a sum of whole numbers does not depend on its order.
Values here are raw, NaN where a metric is not defined; `conventions` makes numbers of them, by a rule with a name.
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
from coordinator.scoring.surfaces import Cells, Elements, Labels, cells_around, row_ranges, surface_elements, volumes

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
        surface_dice_also: at each of the further tolerances.
        distances: where they were asked for.
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


class UnknownIds(ValueError):
    """A label map holds ids that are neither background nor among those that are scored.

    Attributes:
        reference: id -> voxels of each in the reference.
        prediction: id -> voxels of each in the prediction.
    """

    def __init__(self, reference: dict[int, int], prediction: dict[int, int]) -> None:
        super().__init__(f"label maps must hold no other ids than those to score, but hold {reference}, {prediction}")
        self.reference = reference
        self.prediction = prediction


@dataclass(frozen=True, slots=True)
class _Grid:
    """The cells of a case, and how the case lies in memory.

    Scores don't depend on the order of axes as long as spacing has the same, but the time to read rows does; and the
    last bit of a distance does, so these are computed with the axes as they were given.

    Attributes:
        spacing_mm: along x, y, z.
        cells: how many along x, y, z.
        order: axes as they lie in memory, rows last.
    """

    spacing_mm: Spacing
    cells: tuple[int, int, int]
    order: tuple[int, int, int]

    def turned(self, of_axes: tuple[T, T, T]) -> tuple[T, T, T]:
        """What belongs to x, y, z, as the axes lie in memory."""
        first, second, third = self.order
        return of_axes[first], of_axes[second], of_axes[third]


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
        tolerance_mm: a distance of exactly that still counts as within.

    Returns:
        A number in [0, 1]; NaN when both masks are empty, 0 when one is. The volume's border counts as outside: a mask
        that touches it has a surface there.
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
        labels: id, from 1 -> organ. Other ids are refused: they are counted anyway, and a look at the files would take
            a sixth of the time.
        scoring: what is asked. The time grows with the cube of the largest tolerance where the maps differ by as much.

    Returns:
        A score an organ, in the order of `labels`; raw values, NaN where neither map has the organ.

    Raises:
        ValueError: two grids, a negative tolerance, or ids outside 0..65535.
        UnknownIds: ids that `labels` does not have.
    """
    if reference.ndim != 3 or reference.shape != prediction.shape:
        raise ValueError(
            f"reference and prediction must be volumes on one grid, but have shapes {reference.shape} "
            f"and {prediction.shape}"
        )
    for tolerance_mm in (scoring.tolerance_mm, *scoring.of_organ_mm.values(), *scoring.also_mm):
        if not tolerance_mm >= 0:
            raise ValueError(f"tolerance_mm must be at least 0, but it is {tolerance_mm}")
    scores = _score(reference, prediction, spacing_mm, labels, scoring)
    return [
        _in_labelled_slices(reference, prediction, spacing_mm, score, scoring)
        if score.organ in scoring.labelled_slices and score.reference_voxels and score.prediction_voxels
        else score
        for score in scores
    ]


def _score(
    reference: LabelMap, prediction: LabelMap, spacing_mm: Spacing, labels: Mapping[int, str], scoring: Scoring
) -> list[OrganScore]:
    """Score all organs in all slices."""
    grid = _grid(reference, spacing_mm)
    maps = _in_order_of_memory(reference, prediction, grid.order, max(labels, default=0))
    ranges = row_ranges(*maps)
    voxels = volumes(*maps, ranges)
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
    apart: Iterator[Distances | None] = iter([None] * len(labels))
    if scoring.distances:
        from coordinator.scoring.distances import surface_distances  # here, since SciPy's trees take a second to import

        apart = surface_distances(pair, cells, grid.turned(grid.spacing_mm), len(labels))
    ml = math.prod(grid.spacing_mm) / 1000
    scores = []
    for (label, organ), overlaps, distances in zip(labels.items(), surface_scores, apart, strict=True):
        truth, found, shared = voxels[label].tolist()
        scores.append(
            OrganScore(
                label, organ, _ratio(2 * shared, truth + found), overlaps[0], truth, found, truth * ml, found * ml,
                scoring.tolerances_mm(organ)[0], overlaps[1:], distances,
            )
        )  # fmt: skip
    return scores


def _refuse_unknown_ids(voxels: NDArray[np.int64], labels: Mapping[int, str]) -> None:
    unknown = voxels[:, :2].copy()
    unknown[list(labels)] = 0
    if unknown.any():
        raise UnknownIds(*({int(i): int(of[i]) for i in np.flatnonzero(of)} for of in unknown.T))


def _in_labelled_slices(
    reference: LabelMap, prediction: LabelMap, spacing_mm: Spacing, score: OrganScore, scoring: Scoring
) -> OrganScore:
    """The score of one organ in the slices that the reference shows it in, without the last, as FLARE22 has it."""
    slices = np.flatnonzero((reference == score.label).any(axis=(0, 1)))
    part = np.s_[:, :, slices[0] : slices[-1]]
    truth, found = ((labels[part] == score.label).astype(np.uint8) for labels in (reference, prediction))
    (inside,) = _score(truth, found, spacing_mm, {1: score.organ}, scoring)
    return replace(
        score,
        dice=inside.dice,
        surface_dice=inside.surface_dice,
        surface_dice_also=inside.surface_dice_also,
        distances=inside.distances,
    )


def _grid(label_map: LabelMap, spacing_mm: Spacing) -> _Grid:
    x, y, z = (round(float(step), SPACING_DIGITS) for step in spacing_mm)
    i, j, k = (n + 1 for n in label_map.shape)
    first, second, third = sorted(range(3), key=lambda axis: -abs(label_map.strides[axis]))
    return _Grid((x, y, z), (i, j, k), (first, second, third))


def _in_order_of_memory(
    reference: LabelMap, prediction: LabelMap, order: tuple[int, int, int], largest_id: int
) -> tuple[Labels, Labels]:
    """Both maps with axes turned and flipped as the reference lies in memory, most often without a copy.

    Their type holds `largest_id` too, which need not occur.
    """
    forward = tuple(slice(None, None, -1 if stride < 0 else 1) for stride in reference.strides)
    wide = max(_largest_id(reference), _largest_id(prediction), largest_id) > np.iinfo(np.uint8).max
    kind = np.uint16 if wide else np.uint8
    one, other = (np.transpose(label_map[forward], order) for label_map in (reference, prediction))
    return np.ascontiguousarray(one, dtype=kind), np.ascontiguousarray(other, dtype=kind)


def _largest_id(label_map: LabelMap) -> int:
    """An id that no voxel exceeds.

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
    """For each organ, area within each of its tolerances over area of both surfaces."""
    ascending = np.unique(np.array(tolerances_mm, np.float64))
    furthest = np.array([max(of_organ) for of_organ in tolerances_mm], np.float64)
    steps = steps_within(grid.spacing_mm, max(ascending, default=0.0), grid.cells).turned(grid.order)
    within = count_within(pair, cells, steps, ascending, furthest)
    areas = surface_areas(grid.turned(grid.spacing_mm))
    area_within = np.array([[float((counts * areas).sum()) for counts in of_organ.T] for of_organ in within])
    return [
        tuple(_ratio(reached[t], reached[-1]) for t in np.searchsorted(ascending, of_organ))
        for reached, of_organ in zip(area_within.tolist(), tolerances_mm, strict=True)
    ]


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
