"""Volumes and surface elements of all organs of two label maps, in one pass over each.

    rows of voxels ──► first and last foreground voxel of each row ──► rows of 2x2x2 cells around them
                          ├──► runs of equal labels ──► voxels of each label in one map, the other, both
                          └──► cells with more than one label ──► (cell, organ, neighbour code)

Background is skipped, so a stray false positive costs its own size, not that of the box around it. numba compiles this
at the first call and caches it on disk for the next process.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from coordinator.scoring.surface_area_table import CODES

ELEMENTS_OF_CELL = 8
"""Most surface elements of a cell: it has eight voxels."""
CHUNK = 64
"""Voxels that are searched together; a whole number of vector registers."""

Labels = NDArray[np.unsignedinteger[Any]]
"""(X, Y, Z) uint8 or uint16, contiguous; rows run along the last axis. Both maps of a pair have the same type."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The cells around the foreground of both maps, numbered row by row; all other cells hold only background.

    Attributes:
        shape: of the grid of all cells: one more than voxels along each axis.
        first: (rows,) position along the row of each row's first cell.
        start: (rows + 1,) number of each row's first cell; the last entry is the number of cells.
    """

    shape: tuple[int, int, int]
    first: NDArray[np.int64]
    start: NDArray[np.int64]

    def places(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N, 3) position in the grid of the cells with these numbers."""
        rows = np.searchsorted(self.start, cells, side="right") - 1
        return np.stack([*np.divmod(rows, self.shape[1]), cells - self.start[rows] + self.first[rows]], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class Elements:
    """Surface elements of all organs of a label map.

    Attributes:
        cells: (N,) ascending number of the cell.
        organs: (N,) number of the organ, from 1.
        codes: (N,) neighbour code (see `surface_area_table`).
    """

    cells: NDArray[np.int64]
    organs: NDArray[np.uint16]
    codes: NDArray[np.uint8]


def row_ranges(reference: Labels, prediction: Labels) -> NDArray[np.int64]:
    """(X, Y, 2) start and end of the foreground of both maps together, along each row; 0, 0 for an empty row."""
    ranges = np.zeros((*reference.shape[:2], 2), np.int64)
    _row_ranges(reference, prediction, ranges)
    return ranges


def count_voxels(reference: Labels, prediction: Labels, ranges: NDArray[np.int64]) -> NDArray[np.int64]:
    """(largest label + 1, 3) voxels of each label in the reference, the prediction, both; 0 for background."""
    counts = np.zeros((np.iinfo(reference.dtype).max + 1, 3), np.int64)
    _count_voxels(reference, prediction, ranges, counts)
    counts[0] = 0
    return counts


def cells_around(ranges: NDArray[np.int64], length: int) -> Cells:
    """The cells that have a voxel in `ranges` (of `row_ranges`); `length` is the number of voxels in a row."""
    rows, columns = ranges.shape[0] + 1, ranges.shape[1] + 1
    first, counts = np.zeros(rows * columns, np.int64), np.zeros(rows * columns, np.int64)
    _cells_around(ranges, first, counts)
    return Cells((rows, columns, length + 1), first, np.concatenate([[0], counts.cumsum()]))


def surface_elements(labels: Labels, ranges: NDArray[np.int64], cells: Cells, organ_of: NDArray[np.uint16]) -> Elements:
    """Find the surface elements of every organ.

    Args:
        labels: a label map.
        ranges: of `row_ranges`; everything outside of them, or of the volume, counts as background.
        cells: of `cells_around`.
        organ_of: label -> number of the organ; 0 for labels that are not scored.
    """
    return Elements(*_surface_elements(labels, ranges, cells.first, cells.start, organ_of))


@njit(nogil=True, cache=True)
def _row_ranges(reference: Labels, prediction: Labels, ranges: NDArray[np.int64]) -> None:
    for x in range(reference.shape[0]):
        for y in range(reference.shape[1]):
            a, b = reference[x, y], prediction[x, y]
            first = _first_foreground(a, b)
            if first < a.size:
                ranges[x, y, 0] = first
                ranges[x, y, 1] = _foreground_end(a, b)


@njit(nogil=True, cache=True)
def _first_foreground(a: Labels, b: Labels) -> int:
    for start in range(0, a.size, CHUNK):
        end = min(start + CHUNK, a.size)
        if _has_foreground(a[start:end], b[start:end]):
            for k in range(start, end):
                if a[k] | b[k]:
                    return k
    return a.size


@njit(nogil=True, cache=True)
def _foreground_end(a: Labels, b: Labels) -> int:
    end = a.size
    while end > 0:
        start = max(end - CHUNK, 0)
        if _has_foreground(a[start:end], b[start:end]):
            for k in range(end - 1, start - 1, -1):
                if a[k] | b[k]:
                    return k + 1
        end = start
    return 0


@njit(nogil=True, cache=True)
def _has_foreground(a: Labels, b: Labels) -> bool:
    """Whether any voxel is foreground; the loop has no branch, so that it compiles to vector instructions."""
    elements = a.dtype.type(0)
    for k in range(a.size):
        elements |= a[k] | b[k]
    return bool(elements != 0)


@njit(nogil=True, cache=True)
def _count_voxels(reference: Labels, prediction: Labels, ranges: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
    for x in range(reference.shape[0]):
        for y in range(reference.shape[1]):
            a, b = reference[x, y], prediction[x, y]
            k, end = ranges[x, y]
            while k < end:
                p, q, start = a[k], b[k], k
                while k < end and a[k] == p and b[k] == q:
                    k += 1
                counts[p, 0] += k - start
                counts[q, 1] += k - start
                if p == q:
                    counts[p, 2] += k - start


@njit(nogil=True, cache=True)
def _cells_around(ranges: NDArray[np.int64], first: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
    nx, ny = ranges.shape[:2]
    for x in range(nx + 1):
        for y in range(ny + 1):
            begin, end = np.iinfo(np.int64).max, 0
            for i in range(max(x - 1, 0), min(x + 1, nx)):
                for j in range(max(y - 1, 0), min(y + 1, ny)):
                    if ranges[i, j, 1] > 0:
                        begin, end = min(begin, ranges[i, j, 0]), max(end, ranges[i, j, 1])
            if end > 0:
                first[x * (ny + 1) + y] = begin
                counts[x * (ny + 1) + y] = end + 1 - begin


@njit(nogil=True, cache=True)
def _surface_elements(
    labels: Labels,
    ranges: NDArray[np.int64],
    first: NDArray[np.int64],
    start: NDArray[np.int64],
    organ_of: NDArray[np.uint16],
) -> tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[np.uint8]]:
    nx, ny, nz = labels.shape
    planes = np.zeros((2, ny + 2, nz + 2), labels.dtype)  # two neighbouring planes, padded with background
    row = np.zeros((3, nz + 1), labels.dtype)
    capacity, n = ELEMENTS_OF_CELL * (nz + 1) + start[-1] // 4, 0  # untouched memory costs nothing
    cells, organs, codes = np.empty(capacity, np.int64), np.empty(capacity, np.uint16), np.empty(capacity, np.uint8)
    for x in range(nx + 1):
        before, here = planes[(x + 1) % 2], planes[x % 2]
        _next_plane(labels, ranges, x, here)
        for y in range(ny + 1):
            number = x * (ny + 1) + y
            count = start[number + 1] - start[number]
            if count == 0:
                continue
            part = slice(first[number], first[number] + count + 1)
            rows = before[y, part], before[y + 1, part], here[y, part], here[y + 1, part]
            _row_codes(rows[0], rows[1], rows[2], rows[3], row[:, :count])
            while n + ELEMENTS_OF_CELL * count > capacity:
                capacity *= 2
                cells, organs, codes = _enlarge(cells, capacity), _enlarge(organs, capacity), _enlarge(codes, capacity)
            n = _write_row_elements(rows, row[:, :count], organ_of, start[number], (cells, organs, codes), n)
    return cells[:n], organs[:n], codes[:n]


@njit(nogil=True, cache=True)
def _next_plane(labels: Labels, ranges: NDArray[np.int64], x: int, plane: Labels) -> None:
    """Replace plane x - 2 by plane x, or by background after the last plane."""
    for y in range(ranges.shape[1]):
        if x >= 2:
            for k in range(ranges[x - 2, y, 0], ranges[x - 2, y, 1]):
                plane[y + 1, k + 1] = 0
        if x < labels.shape[0]:
            for k in range(ranges[x, y, 0], ranges[x, y, 1]):
                plane[y + 1, k + 1] = labels[x, y, k]


@njit(nogil=True, cache=True)
def _neighbour_code(a: Labels, b: Labels, c: Labels, d: Labels, k: int, label: int) -> int:
    """Neighbour code of a label in cell k between four rows."""
    code: int = (
        ((a[k] == label) << 7) | ((a[k + 1] == label) << 6) | ((b[k] == label) << 5) | ((b[k + 1] == label) << 4)
        | ((c[k] == label) << 3) | ((c[k + 1] == label) << 2) | ((d[k] == label) << 1) | (d[k + 1] == label)
    )  # fmt: skip
    return code


@njit(nogil=True, cache=True)
def _row_codes(a: Labels, b: Labels, c: Labels, d: Labels, row: Labels) -> None:
    """Fill `row` for the cells between four rows: a label, its neighbour code, and the code of all foreground.

    The label is correct where a cell holds only one label. Where it holds several, the two codes differ.
    """
    for k in range(row.shape[1]):
        row[0, k] = a[k] | a[k + 1] | b[k] | b[k + 1] | c[k] | c[k + 1] | d[k] | d[k + 1]
        row[1, k] = _neighbour_code(a, b, c, d, k, row[0, k])
        row[2, k] = (
            ((a[k] != 0) << 7) | ((a[k + 1] != 0) << 6) | ((b[k] != 0) << 5) | ((b[k + 1] != 0) << 4)
            | ((c[k] != 0) << 3) | ((c[k + 1] != 0) << 2) | ((d[k] != 0) << 1) | (d[k + 1] != 0)
        )  # fmt: skip


@njit(nogil=True, cache=True)
def _write_row_elements(
    rows: tuple[Labels, Labels, Labels, Labels],
    row: Labels,
    organ_of: NDArray[np.uint16],
    first_cell: int,
    elements: tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[np.uint8]],
    n: int,
) -> int:
    """Append the elements of a row of cells, one for each organ of a cell; return the new number of elements."""
    cells, organs, codes = elements
    for k in range(row.shape[1]):
        label, code, inside = row[0, k], row[1, k], row[2, k]
        if code == inside:
            if inside != 0 and inside != CODES - 1 and organ_of[label]:
                cells[n], organs[n], codes[n] = first_cell + k, organ_of[label], code
                n += 1
            continue
        remaining, corner = inside, 0
        while remaining:
            while not remaining & (128 >> corner):
                corner += 1
            label = rows[corner >> 1][k + (corner & 1)]
            code = _neighbour_code(rows[0], rows[1], rows[2], rows[3], k, label)
            remaining &= ~code
            if organ_of[label]:
                cells[n], organs[n], codes[n] = first_cell + k, organ_of[label], code
                n += 1
    return n


@njit(nogil=True, cache=True)
def _enlarge(array: NDArray[Any], capacity: int) -> NDArray[Any]:
    enlarged = np.empty(capacity, array.dtype)
    enlarged[: array.size] = array
    return enlarged
