"""Dice, surface Dice and distances, computed as DeepMind's surface-distance does: masks, distance transforms."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from coordinator.scoring.surface_area_table import surface_areas

Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]
KERNEL = np.array([[[128, 64], [32, 16]], [[8, 4], [2, 1]]])


def oracle_dice(reference: Mask, prediction: Mask) -> float:
    """NaN when both are empty."""
    whole = reference.sum() + prediction.sum()
    return float(2 * (reference & prediction).sum() / whole) if whole else math.nan


def oracle_surface_dice(
    reference: Mask, prediction: Mask, spacing_mm: Spacing, tolerances_mm: Sequence[float]
) -> list[float]:
    """At each tolerance; NaN when both are empty."""
    surfaces = list(_surfaces(reference, prediction, spacing_mm))
    whole = sum(areas.sum() for _, areas in surfaces)
    within = (sum(areas[distances_mm <= t].sum() for distances_mm, areas in surfaces) for t in tolerances_mm)
    return [float(part / whole) if whole else math.nan for part in within]


def oracle_distances(reference: Mask, prediction: Mask, spacing_mm: Spacing) -> tuple[float, float]:
    """HD95 and average symmetric surface distance; NaN when both are empty, infinite when one is."""
    if not (reference.any() and prediction.any()):
        return (math.inf, math.inf) if reference.any() or prediction.any() else (math.nan, math.nan)
    surfaces = list(_surfaces(reference, prediction, spacing_mm))
    percentiles = []
    for distances_mm, areas in surfaces:
        pairs = sorted(zip(distances_mm, areas, strict=True))
        share = np.cumsum([area for _, area in pairs]) / areas.sum()
        percentiles.append(pairs[min(int(np.searchsorted(share, 0.95)), len(pairs) - 1)][0])
    mean = sum((distances_mm * areas).sum() for distances_mm, areas in surfaces) / sum(
        areas.sum() for _, areas in surfaces
    )
    return float(max(percentiles)), float(mean)


def _surfaces(
    reference: Mask, prediction: Mask, spacing_mm: Spacing
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """For each mask, the distance of each surface element to the other surface, and its area."""
    codes = [
        ndimage.correlate(np.pad(mask, (0, 1)).astype(np.uint8), KERNEL, mode="constant", output=np.uint8)
        for mask in (reference, prediction)
    ]
    borders = [(code != 0) & (code != 255) for code in codes]
    for source, target in ((0, 1), (1, 0)):
        areas = surface_areas(spacing_mm)[codes[source][borders[source]]]
        if not borders[target].any():
            yield np.full(len(areas), np.inf), areas
        else:
            yield ndimage.distance_transform_edt(~borders[target], sampling=spacing_mm)[borders[source]], areas
