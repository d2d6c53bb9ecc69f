"""How far two surfaces are apart: HD95 and average surface distance, as DeepMind's surface-distance defines them.

Each surface element has the distance of its cell to the nearest cell of the other surface, and its area as weight.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from coordinator.scoring.settings import Distances
from coordinator.scoring.surface_area_table import surface_areas
from coordinator.scoring.surfaces import Cells, Elements

PERCENT = 95


def surface_distances(
    pair: tuple[Elements, Elements], cells: Cells, spacing_mm: tuple[float, float, float], organs: int
) -> Iterator[Distances]:
    """Measure how far apart two maps' surfaces are, for one organ after the other.

    Args:
        pair: surface elements of both maps.
        cells: that they lie in.
        spacing_mm: of the cells.
        organs: how many organs there are.
    """
    areas = surface_areas(spacing_mm)
    for organ in range(1, organs + 1):
        parts = [(elements.cells[of], elements.codes[of]) for elements in pair for of in [elements.organs == organ]]
        (one, one_codes), (other, other_codes) = parts
        if not (one.size and other.size):
            nothing = math.inf if one.size or other.size else math.nan
            yield Distances(nothing, nothing)
            continue
        there = _sorted(_nearest_mm(one, other, cells, spacing_mm), areas[one_codes])
        back = _sorted(_nearest_mm(other, one, cells, spacing_mm), areas[other_codes])
        yield Distances(max(_percentile(*there), _percentile(*back)), _mean(there, back))


def _nearest_mm(
    mine: NDArray[np.int64], others: NDArray[np.int64], cells: Cells, spacing_mm: tuple[float, float, float]
) -> NDArray[np.float64]:
    """(N,) distance of each cell to the nearest one of the others."""
    distances_mm = np.zeros(len(mine))
    apart = np.flatnonzero(~np.isin(mine, others, assume_unique=True))
    from_here, to_there = cells.places(mine[apart]), cells.places(others)
    nearest = cKDTree(to_there * spacing_mm).query(from_here * spacing_mm)[1]
    # The tree says which one is nearest; the distance is DeepMind's float64 expression.
    steps_mm = (from_here - to_there[nearest]) * np.array(spacing_mm)
    distances_mm[apart] = np.sqrt((steps_mm * steps_mm).sum(axis=1))
    return distances_mm


def _sorted(
    distances_mm: NDArray[np.float64], areas: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both by distance, then area: sums of floats depend on their order, which must not be that of memory."""
    order = np.lexsort((areas, distances_mm))
    return distances_mm[order], areas[order]


def _percentile(distances_mm: NDArray[np.float64], areas: NDArray[np.float64]) -> float:
    """The smallest distance within which a share of the area lies."""
    share = np.cumsum(areas) / areas.sum()
    at = int(np.searchsorted(share, PERCENT / 100))
    return float(distances_mm[min(at, len(distances_mm) - 1)])


def _mean(*surfaces: tuple[NDArray[np.float64], NDArray[np.float64]]) -> float:
    return float(sum((d * a).sum() for d, a in surfaces) / sum(a.sum() for _, a in surfaces))
