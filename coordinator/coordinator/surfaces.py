"""Surfaces of all organs of two label maps in one pass, and how far they are apart, without any distance transform.

    rows of voxels ──► where each row's foreground begins and ends
                          └──► cells of 2x2x2 voxels that are not of one label ──► (cell, organ, neighbour code)
    elements of one map ──► a grid of bits: which organs have a surface in this cell
    elements of the other ──► walk away from the cell, nearest first: the first cell with the bit is the nearest surface

What comes out are whole numbers, counts of elements for each organ, neighbour code and tolerance, so their order does not
matter. Stray false positives cost what they are large, not what the box around them is.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

CODES = 256
ORGANS_AT_ONCE = 32
"""Bits of the grid's cells."""
CHUNK = 64
"""Voxels that are looked at together; a whole number of vector registers."""

Labels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Elements:
    """Surface elements of all organs of a label map.

    Attributes:
        cells: (N,) flat index of the 2x2x2 cell, in a grid with one more cell than voxels along each axis.
        organs: (N,) label, from 1.
        codes: (N,) neighbour code.
    """

    cells: NDArray[np.int64]
    organs: NDArray[np.uint8]
    codes: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """Ways from a cell to its neighbours, nearest first.

    Attributes:
        offsets: (N, 3) cells.
        within: (N,) index of the smallest tolerance that reaches so far.
    """

    offsets: NDArray[np.int64]
    within: NDArray[np.int64]


def row_ranges(one: Labels, other: Labels) -> NDArray[np.int32]:
    """(X, Y, 2) first voxel and end of what is not background in either map, along each row; 0, 0 for an empty row."""
    ranges = np.zeros((*one.shape[:2], 2), np.int32)
    _row_ranges(one, other, ranges)
    return ranges


def volumes(one: Labels, other: Labels, ranges: NDArray[np.int32]) -> NDArray[np.int64]:
    """(256, 3) voxels of each label in the one, in the other, and in both at once; background is not counted."""
    counts = np.zeros((CODES, 3), np.int64)
    _volumes(one, other, ranges, counts)
    counts[0] = 0
    return counts


def surface_elements(labels: Labels, ranges: NDArray[np.int32]) -> Elements:
    """Find the surface elements of every label.

    Args:
        labels: (X, Y, Z), contiguous.
        ranges: of `row_ranges`; what lies outside is background.
    """
    cells, organs, codes = _surface_elements(labels, ranges)
    return Elements(cells, organs, codes)


def steps_within(spacing_mm: tuple[float, float, float], tolerances_mm: NDArray[np.float64]) -> Steps:
    """Ways of at most the largest tolerance.

    Args:
        spacing_mm: of the cells.
        tolerances_mm: ascending.
    """
    reach = [int(tolerances_mm[-1] / step) + 1 for step in spacing_mm]
    offsets = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), axis=-1).reshape(-1, 3)
    # DeepMind's float64 expression: at a distance that equals the tolerance, its last bit decides.
    distances_mm = np.sqrt(((offsets * np.array(spacing_mm)) ** 2).sum(axis=1))
    near = np.flatnonzero(distances_mm <= tolerances_mm[-1])
    order = near[np.argsort(distances_mm[near], kind="stable")]
    return Steps(offsets[order], np.searchsorted(tolerances_mm, distances_mm[order], side="left"))


def count_near(
    elements: Elements, others: Elements, shape: tuple[int, int, int], steps: Steps, grid: NDArray[np.uint32]
) -> NDArray[np.int64]:
    """Count elements by organ, code and the smallest tolerance within which the other surface lies.

    Args:
        elements: to count.
        others: the other surface.
        shape: of the grid of cells.
        steps: of the tolerances.
        grid: (cells,) zeros; left as they were.

    Returns:
        (33, 256, T) whole numbers, for organs 1 to 32; elements that no tolerance reaches are not in it.
    """
    tolerances = int(steps.within.max(initial=-1)) + 1
    counts = np.zeros((ORGANS_AT_ONCE + 1, CODES, tolerances), np.int64)
    _mark(others.cells, others.organs, grid)
    _count_near(
        (elements.cells, elements.organs, elements.codes), np.array(shape), steps.offsets, steps.within, grid, counts
    )
    grid[others.cells] = 0
    return counts


@njit(nogil=True, cache=True)
def _row_ranges(one: Labels, other: Labels, ranges: NDArray[np.int32]) -> None:
    for x in range(one.shape[0]):
        for y in range(one.shape[1]):
            a, b = one[x, y], other[x, y]
            first = _first(a, b)
            if first < a.size:
                ranges[x, y, 0] = first
                ranges[x, y, 1] = _end(a, b)


@njit(nogil=True, cache=True)
def _first(a: Labels, b: Labels) -> int:
    for start in range(0, a.size, CHUNK):
        end = min(start + CHUNK, a.size)
        found = np.uint8(0)
        for k in range(start, end):
            found |= a[k] | b[k]
        if found:
            for k in range(start, end):
                if a[k] | b[k]:
                    return k
    return a.size


@njit(nogil=True, cache=True)
def _end(a: Labels, b: Labels) -> int:
    end = a.size
    while end > 0:
        start = max(end - CHUNK, 0)
        found = np.uint8(0)
        for k in range(start, end):
            found |= a[k] | b[k]
        if found:
            for k in range(end - 1, start - 1, -1):
                if a[k] | b[k]:
                    return k + 1
        end = start
    return 0


@njit(nogil=True, cache=True)
def _volumes(one: Labels, other: Labels, ranges: NDArray[np.int32], counts: NDArray[np.int64]) -> None:
    for x in range(one.shape[0]):
        for y in range(one.shape[1]):
            a, b = one[x, y], other[x, y]
            k, end = ranges[x, y, 0], ranges[x, y, 1]
            while k < end:
                # Runs of one pair of labels are counted at once.
                p, q, start = a[k], b[k], k
                while k < end and a[k] == p and b[k] == q:
                    k += 1
                counts[p, 0] += k - start
                counts[q, 1] += k - start
                if p == q:
                    counts[p, 2] += k - start


@njit(nogil=True, cache=True)
def _surface_elements(
    labels: Labels, ranges: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.uint8]]:
    nx, ny, nz = labels.shape
    empty = np.zeros(nz, np.uint8)
    rows = np.zeros((4, nz + 2), np.uint8)
    mixed = np.zeros(nz + 1, np.uint8)
    room, n = 1 << 16, 0
    cells, organs, codes = np.empty(room, np.int64), np.empty(room, np.uint8), np.empty(room, np.uint8)
    for x in range(nx + 1):
        for y in range(ny + 1):
            first, end = nz, 0
            for corner in range(4):
                i, j = x - 1 + (corner >> 1), y - 1 + (corner & 1)
                if 0 <= i < nx and 0 <= j < ny and ranges[i, j, 1] > 0:
                    first, end = min(first, ranges[i, j, 0]), max(end, ranges[i, j, 1])
            if end == 0:
                continue
            for corner in range(4):
                i, j = x - 1 + (corner >> 1), y - 1 + (corner & 1)
                source = labels[i, j] if 0 <= i < nx and 0 <= j < ny else empty
                rows[corner, first + 1 : end + 1] = source[first:end]
                rows[corner, first] = 0
                rows[corner, end + 1] = 0
            _mark_mixed(rows, mixed, first, end + 1)
            for k in range(first, end + 1):
                if not mixed[k]:
                    continue
                if n + 8 > room:
                    room *= 2
                    cells, organs, codes = _grown(cells, room), _grown(organs, room), _grown(codes, room)
                base = (x * (ny + 1) + y) * (nz + 1) + k
                n = _emit(rows, k, base, cells, organs, codes, n)
    return cells[:n].copy(), organs[:n].copy(), codes[:n].copy()


@njit(nogil=True, cache=True)
def _mark_mixed(rows: Labels, mixed: NDArray[np.uint8], first: int, end: int) -> None:
    """Cell k is mixed when its eight voxels, k and k + 1 of four rows, are not of one label."""
    a, b, c, d = rows[0], rows[1], rows[2], rows[3]
    for k in range(first, end):
        here = (a[k] ^ b[k]) | (a[k] ^ c[k]) | (a[k] ^ d[k])
        after = (a[k + 1] ^ b[k + 1]) | (a[k + 1] ^ c[k + 1]) | (a[k + 1] ^ d[k + 1])
        mixed[k] = here | after | (a[k] ^ a[k + 1])


@njit(nogil=True, cache=True)
def _emit(
    rows: Labels,
    k: int,
    cell: int,
    cells: NDArray[np.int64],
    organs: NDArray[np.uint8],
    codes: NDArray[np.uint8],
    n: int,
) -> int:
    """Write the elements of a mixed cell, one for each of its labels; returns how many there are now."""
    first_of_cell = n
    for corner in range(8):
        label = rows[corner >> 1, k + (corner & 1)]
        if label == 0:
            continue
        bit = np.uint8(128 >> corner)
        at = first_of_cell
        while at < n and organs[at] != label:
            at += 1
        if at == n:
            cells[n], organs[n], codes[n] = cell, label, 0
            n += 1
        codes[at] |= bit
    return n


@njit(nogil=True, cache=True)
def _grown(array: NDArray[np.generic], room: int) -> NDArray[np.generic]:
    grown = np.empty(room, array.dtype)
    grown[: array.size] = array
    return grown


@njit(nogil=True, cache=True)
def _mark(cells: NDArray[np.int64], organs: NDArray[np.uint8], grid: NDArray[np.uint32]) -> None:
    for n in range(cells.size):
        grid[cells[n]] |= np.uint32(1) << np.uint32(organs[n] - 1)


@njit(nogil=True, cache=True)
def _count_near(
    elements: tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.uint8]],
    shape: NDArray[np.int64],
    offsets: NDArray[np.int64],
    within: NDArray[np.int64],
    grid: NDArray[np.uint32],
    counts: NDArray[np.int64],
) -> None:
    cells, organs, codes = elements
    nx, ny, nz = shape
    for n in range(cells.size):
        bit = np.uint32(1) << np.uint32(organs[n] - 1)
        cell = cells[n]
        if grid[cell] & bit:
            counts[organs[n], codes[n], within[0]] += 1
            continue
        z = cell % nz
        y = (cell // nz) % ny
        x = cell // (nz * ny)
        for s in range(1, within.size):
            i, j, k = x + offsets[s, 0], y + offsets[s, 1], z + offsets[s, 2]
            if i < 0 or j < 0 or k < 0 or i >= nx or j >= ny or k >= nz:
                continue
            if grid[(i * ny + j) * nz + k] & bit:
                counts[organs[n], codes[n], within[s]] += 1
                break
