"""HD95 and average surface distance, as DeepMind's surface-distance defines them.

An element's distance is that from its cell to the nearest cell of the other surface; its weight is its area.
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
    """Measure the distances between the surfaces of two maps, organ by organ.

    Args:
        pair: surface elements of both maps.
        cells: the cells that the elements lie in.
        spacing_mm: of the cells.
        organs: number of organs.

    Yields:
        The distances of organ 1, 2, …
    """
    areas = surface_areas(spacing_mm)
    for organ in range(1, organs + 1):
        (reference, reference_codes), (prediction, prediction_codes) = (
            (elements.cells[is_organ], elements.codes[is_organ])
            for elements in pair
            for is_organ in [elements.organs == organ]
        )
        if not (reference.size and prediction.size):
            undefined = math.inf if reference.size or prediction.size else math.nan
            yield Distances(undefined, undefined)
            continue
        forward = _sort_by_distance(_nearest_mm(reference, prediction, cells, spacing_mm), areas[reference_codes])
        back = _sort_by_distance(_nearest_mm(prediction, reference, cells, spacing_mm), areas[prediction_codes])
        yield Distances(max(_percentile(*forward), _percentile(*back)), _mean(forward, back))


def _nearest_mm(
    sources: NDArray[np.int64], targets: NDArray[np.int64], cells: Cells, spacing_mm: tuple[float, float, float]
) -> NDArray[np.float64]:
    """(N,) distance of each source cell to the nearest target cell."""
    distances_mm = np.zeros(len(sources))
    apart = np.flatnonzero(~np.isin(sources, targets, assume_unique=True))
    source_places, target_places = cells.places(sources[apart]), cells.places(targets)
    nearest = cKDTree(target_places * spacing_mm).query(source_places * spacing_mm)[1]
    # The tree only finds the nearest cell; the distance itself is DeepMind's float64 expression.
    steps_mm = (source_places - target_places[nearest]) * np.array(spacing_mm)
    distances_mm[apart] = np.sqrt((steps_mm * steps_mm).sum(axis=1))
    return distances_mm


def _sort_by_distance(
    distances_mm: NDArray[np.float64], areas: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sort by distance, then area: a sum of floats depends on its order, which must not depend on memory order."""
    order = np.lexsort((areas, distances_mm))
    return distances_mm[order], areas[order]


def _percentile(distances_mm: NDArray[np.float64], areas: NDArray[np.float64]) -> float:
    """The smallest distance within which `PERCENT` of the area lies."""
    share = np.cumsum(areas) / areas.sum()
    index = int(np.searchsorted(share, PERCENT / 100))
    return float(distances_mm[min(index, len(distances_mm) - 1)])


def _mean(*surfaces: tuple[NDArray[np.float64], NDArray[np.float64]]) -> float:
    return float(sum((d * a).sum() for d, a in surfaces) / sum(a.sum() for _, a in surfaces))
