"""Volumes and surface elements of all organs of two label maps, in one pass over each.

    rows of voxels ──► where each row's foreground begins and ends ──► rows of 2x2x2 cells around it
                          ├──► runs of equal labels ──► voxels of each label, in one map, the other, both at once
                          └──► cells that are not of one label ──► (cell, organ, neighbour code)

Background is skipped, so stray false positives cost what they are large, not what the box around them is. Compiled by
numba at the first call, and kept on disk for the next process.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from coordinator.scoring.surface_area_table import CODES

ELEMENTS_OF_CELL = 8
"""At most: a cell has eight voxels."""
CHUNK = 64
"""Voxels that are looked at together; a whole number of vector registers."""

Labels = NDArray[np.unsignedinteger[Any]]
"""(X, Y, Z) uint8 or uint16, contiguous; rows run along the last axis. Two maps that are compared have one type."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The cells around the foreground of both maps, numbered row by row; all others are of background alone.

    Attributes:
        shape: of the grid of all cells: one more than voxels along each axis.
        first: (rows,) place of each row's first cell along the row.
        start: (rows + 1,) number of each row's first cell, and in the end how many cells there are.
    """

    shape: tuple[int, int, int]
    first: NDArray[np.int64]
    start: NDArray[np.int64]

    def places(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N, 3) place in the grid of cells by their numbers."""
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


def row_ranges(one: Labels, other: Labels) -> NDArray[np.int64]:
    """(X, Y, 2) first voxel and end of what is not background in either map, along each row; 0, 0 for an empty row."""
    ranges = np.zeros((*one.shape[:2], 2), np.int64)
    _row_ranges(one, other, ranges)
    return ranges


def volumes(one: Labels, other: Labels, ranges: NDArray[np.int64]) -> NDArray[np.int64]:
    """(largest label + 1, 3) voxels of each label in the one, in the other, in both at once; not of background."""
    counts = np.zeros((np.iinfo(one.dtype).max + 1, 3), np.int64)
    _volumes(one, other, ranges, counts)
    counts[0] = 0
    return counts


def cells_around(ranges: NDArray[np.int64], length: int) -> Cells:
    """The cells of which a voxel is in a range of `row_ranges`; `length` is that of a row of voxels."""
    rows, columns = ranges.shape[0] + 1, ranges.shape[1] + 1
    first, counts = np.zeros(rows * columns, np.int64), np.zeros(rows * columns, np.int64)
    _cells_around(ranges, first, counts)
    return Cells((rows, columns, length + 1), first, np.concatenate([[0], counts.cumsum()]))


def surface_elements(labels: Labels, ranges: NDArray[np.int64], cells: Cells, organ_of: NDArray[np.uint16]) -> Elements:
    """Find the surface elements of every organ.

    Args:
        labels: a label map.
        ranges: of `row_ranges`; what lies outside is background. So is what lies outside of the volume.
        cells: around them.
        organ_of: label -> number of the organ; 0 for labels that are not asked for.
    """
    return Elements(*_surface_elements(labels, ranges, cells.first, cells.start, organ_of))


@njit(nogil=True, cache=True)
def _row_ranges(one: Labels, other: Labels, ranges: NDArray[np.int64]) -> None:
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
        if _any(a[start:end], b[start:end]):
            for k in range(start, end):
                if a[k] | b[k]:
                    return k
    return a.size


@njit(nogil=True, cache=True)
def _end(a: Labels, b: Labels) -> int:
    end = a.size
    while end > 0:
        start = max(end - CHUNK, 0)
        if _any(a[start:end], b[start:end]):
            for k in range(end - 1, start - 1, -1):
                if a[k] | b[k]:
                    return k + 1
        end = start
    return 0


@njit(nogil=True, cache=True)
def _any(a: Labels, b: Labels) -> bool:
    """Without a branch a voxel, so that it becomes vector instructions."""
    found = a.dtype.type(0)
    for k in range(a.size):
        found |= a[k] | b[k]
    return bool(found != 0)


@njit(nogil=True, cache=True)
def _volumes(one: Labels, other: Labels, ranges: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
    for x in range(one.shape[0]):
        for y in range(one.shape[1]):
            a, b = one[x, y], other[x, y]
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
    planes = np.zeros((2, ny + 2, nz + 2), labels.dtype)  # two neighbouring ones, with background around them
    row = np.zeros((3, nz + 1), labels.dtype)
    room, n = ELEMENTS_OF_CELL * (nz + 1) + start[-1] // 4, 0  # memory that is not touched costs nothing
    cells, organs, codes = np.empty(room, np.int64), np.empty(room, np.uint16), np.empty(room, np.uint8)
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
            _codes_of_row(rows[0], rows[1], rows[2], rows[3], row[:, :count])
            while n + ELEMENTS_OF_CELL * count > room:
                room *= 2
                cells, organs, codes = _grown(cells, room), _grown(organs, room), _grown(codes, room)
            n = _emit_row(rows, row[:, :count], organ_of, start[number], (cells, organs, codes), n)
    return cells[:n], organs[:n], codes[:n]


@njit(nogil=True, cache=True)
def _next_plane(labels: Labels, ranges: NDArray[np.int64], x: int, plane: Labels) -> None:
    """Replace plane x - 2 by plane x, or by background behind the last one."""
    for y in range(ranges.shape[1]):
        if x >= 2:
            for k in range(ranges[x - 2, y, 0], ranges[x - 2, y, 1]):
                plane[y + 1, k + 1] = 0
        if x < labels.shape[0]:
            for k in range(ranges[x, y, 0], ranges[x, y, 1]):
                plane[y + 1, k + 1] = labels[x, y, k]


@njit(nogil=True, cache=True)
def _code(a: Labels, b: Labels, c: Labels, d: Labels, k: int, label: int) -> int:
    """Neighbour code of a label in cell k between four rows."""
    code: int = (
        ((a[k] == label) << 7) | ((a[k + 1] == label) << 6) | ((b[k] == label) << 5) | ((b[k + 1] == label) << 4)
        | ((c[k] == label) << 3) | ((c[k + 1] == label) << 2) | ((d[k] == label) << 1) | (d[k + 1] == label)
    )  # fmt: skip
    return code


@njit(nogil=True, cache=True)
def _codes_of_row(a: Labels, b: Labels, c: Labels, d: Labels, row: Labels) -> None:
    """For each cell between four rows: a label, its neighbour code, and the code of whatever is not background.

    The label is the right one where the cell holds only one; where it holds more, the two codes differ.
    """
    for k in range(row.shape[1]):
        row[0, k] = a[k] | a[k + 1] | b[k] | b[k + 1] | c[k] | c[k + 1] | d[k] | d[k + 1]
        row[1, k] = _code(a, b, c, d, k, row[0, k])
        row[2, k] = (
            ((a[k] != 0) << 7) | ((a[k + 1] != 0) << 6) | ((b[k] != 0) << 5) | ((b[k + 1] != 0) << 4)
            | ((c[k] != 0) << 3) | ((c[k + 1] != 0) << 2) | ((d[k] != 0) << 1) | (d[k + 1] != 0)
        )  # fmt: skip


@njit(nogil=True, cache=True)
def _emit_row(
    rows: tuple[Labels, Labels, Labels, Labels],
    row: Labels,
    organ_of: NDArray[np.uint16],
    first_cell: int,
    found: tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[np.uint8]],
    n: int,
) -> int:
    """Write the elements of a row of cells, one for each organ of a cell; returns how many there are now."""
    cells, organs, codes = found
    for k in range(row.shape[1]):
        label, code, inside = row[0, k], row[1, k], row[2, k]
        if code == inside:
            if inside != 0 and inside != CODES - 1 and organ_of[label]:
                cells[n], organs[n], codes[n] = first_cell + k, organ_of[label], code
                n += 1
            continue
        left, corner = inside, 0
        while left:
            while not left & (128 >> corner):
                corner += 1
            label = rows[corner >> 1][k + (corner & 1)]
            code = _code(rows[0], rows[1], rows[2], rows[3], k, label)
            left &= ~code
            if organ_of[label]:
                cells[n], organs[n], codes[n] = first_cell + k, organ_of[label], code
                n += 1
    return n


@njit(nogil=True, cache=True)
def _grown(array: NDArray[Any], room: int) -> NDArray[Any]:
    grown = np.empty(room, array.dtype)
    grown[: array.size] = array
    return grown
