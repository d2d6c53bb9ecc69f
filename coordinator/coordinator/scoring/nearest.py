"""Counts the surface elements that have the other surface within a tolerance, without a distance transform.

    elements of one map ──► a grid of bits for the cells around organs: which organs have a surface in this cell
    elements of the other ──► visit neighbour cells, nearest first: the first cell with the bit is the nearest surface

The results are whole numbers, so they do not depend on the order of counting.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from coordinator.scoring.surface_area_table import CODES
from coordinator.scoring.surfaces import Cells, Elements

ORGANS_AT_ONCE = 32
"""Bits in a cell of the grid; more organs than this take several passes."""


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """Offsets from a cell to its neighbours, nearest first.

    Attributes:
        offsets: (N, 3) in cells.
        distances_mm: (N,) ascending.
    """

    offsets: NDArray[np.int64]
    distances_mm: NDArray[np.float64]

    def reorder_axes(self, order: tuple[int, int, int]) -> "Steps":
        """Copy the steps with their axes in another order."""
        return Steps(np.ascontiguousarray(self.offsets[:, order]), self.distances_mm)


def steps_within(spacing_mm: tuple[float, float, float], tolerance_mm: float, shape: tuple[int, int, int]) -> Steps:
    """All steps that are at most a tolerance long and fit into a grid of this shape; the first one is zero."""
    reach = [min(int(tolerance_mm / step) + 1, n - 1) for step, n in zip(spacing_mm, shape, strict=True)]
    x, y, z = (np.arange(-r, r + 1) for r in reach)
    # DeepMind's float64 expression: where a distance equals the tolerance, its last bit decides.
    squares = [(axis * step) ** 2 for axis, step in zip((x, y, z), spacing_mm, strict=True)]
    distances_mm = np.sqrt(squares[0][:, None, None] + squares[1][None, :, None] + squares[2][None, None, :])
    near = np.nonzero(distances_mm <= tolerance_mm)
    order = np.argsort(distances_mm[near], kind="stable")
    offsets = np.stack([axis[index[order]] for axis, index in zip((x, y, z), near, strict=True)], axis=1)
    return Steps(offsets.astype(np.int64), distances_mm[near][order])


def count_within(
    pair: tuple[Elements, Elements],
    cells: Cells,
    steps: Steps,
    tolerances_mm: NDArray[np.float64],
    furthest_mm: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Count the elements of both surfaces that lie within each tolerance of the other one.

    Args:
        pair: surface elements of the two maps.
        cells: the cells that the elements lie in.
        steps: all steps up to the largest tolerance.
        tolerances_mm: (T,) ascending.
        furthest_mm: (organs,) largest tolerance of each organ.

    Returns:
        (organs, 256, T + 1) counts by organ, neighbour code and tolerance; the last column counts all elements. A
        distance of exactly the tolerance is within it.
    """
    organs = len(furthest_mm)
    counts = np.zeros((organs, CODES, len(tolerances_mm) + 1), np.int64)
    within = np.searchsorted(tolerances_mm, steps.distances_mm, side="left")
    limits = np.searchsorted(steps.distances_mm, furthest_mm, side="right")
    grid = np.zeros(cells.start[-1], np.uint16 if organs <= 16 else np.uint32)
    for first in range(0, organs, ORGANS_AT_ONCE):
        part = (first, min(first + ORGANS_AT_ONCE, organs))
        for sources, targets in (pair, pair[::-1]):
            _mark_cells(targets.cells, targets.organs, part, grid)
            _count_elements(
                (sources.cells, sources.organs, sources.codes), part, (steps.offsets, within, limits),
                (cells.shape[0], cells.shape[1], cells.first, cells.start), grid, counts,
            )  # fmt: skip
            grid[targets.cells] = 0
    return counts.cumsum(axis=2)


@njit(nogil=True, cache=True)
def _mark_cells(
    cells: NDArray[np.int64], organs: NDArray[np.uint16], part: tuple[int, int], grid: NDArray[np.uint32]
) -> None:
    for n in range(cells.size):
        organ = organs[n] - 1
        if part[0] <= organ < part[1]:
            grid[cells[n]] |= 1 << (organ - part[0])


@njit(nogil=True, cache=True)
def _count_elements(
    elements: tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[np.uint8]],
    part: tuple[int, int],
    steps: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    rows: tuple[int, int, NDArray[np.int64], NDArray[np.int64]],
    grid: NDArray[np.uint32],
    counts: NDArray[np.int64],
) -> None:
    cells, organs, codes = elements
    offsets, within, limits = steps
    nx, ny, first, start = rows
    row = 0
    for n in range(cells.size):
        organ = organs[n] - 1
        if not part[0] <= organ < part[1]:
            continue
        bit = 1 << (organ - part[0])
        cell = cells[n]
        if grid[cell] & bit:
            counts[organ, codes[n], within[0]] += 1
            continue
        while cell >= start[row + 1]:
            row += 1
        x, y, z = row // ny, row % ny, cell - start[row] + first[row]
        reached = counts.shape[2] - 1
        for s in range(1, limits[organ]):
            i, j = x + offsets[s, 0], y + offsets[s, 1]
            if 0 <= i < nx and 0 <= j < ny:
                neighbour = i * ny + j
                k = z + offsets[s, 2] - first[neighbour]
                if 0 <= k < start[neighbour + 1] - start[neighbour] and grid[start[neighbour] + k] & bit:
                    reached = within[s]
                    break
        counts[organ, codes[n], reached] += 1
