"""What share of each thin shell around an organ's surface a label map labels as the organ.

    reference ──► distance of each voxel to the surface of the organ ──► shells of 0.5 mm, inside and outside
    label map ──► voxels of each shell, and how many of them it labels as the organ

Shells lie at the same distances in every case, so cases of different anatomy can be put together
(`coordinator.results.consistency`). The surface is taken to lie half the smallest spacing before the nearest voxel on
its other side, as in the tool `degrade`. Beyond the volume's border an organ counts as going on.

Distances are exact: along one axis after the other, the least sum of squares within 10 mm. Lines far from the surface
are skipped. Of large organs, every second voxel along two axes is counted: a quarter says as much, in half the time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from coordinator.scoring.schema import SHELLS, WIDTH_MM

TIE = 1e-4
"""Of a shell's width; a distance that is this little below a shell's border lies on it, whatever its last bits."""
LARGE = 250_000
"""Voxels in the box around an organ, 10 mm beyond it included; of larger ones a quarter is counted."""

Labels = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class OrganShells:
    """The shells of one organ of one case, from the inside out.

    Attributes:
        label: id of the organ.
        organ: its name.
        voxels: (2 * SHELLS + 1,) that were counted in the shell; the first one is all that lies over 10 mm inside.
        labelled_voxels: how many of these the label map labels as the organ.
    """

    label: int
    organ: str
    voxels: NDArray[np.int64]
    labelled_voxels: NDArray[np.int64]

    def rows(self, case: str) -> Iterator[tuple[str, int, str, float, int, int]]:
        """A row of `SHELL_SCHEMA` for each shell that has voxels."""
        for n in np.flatnonzero(self.voxels):
            distance_mm = WIDTH_MM * (int(n) - SHELLS - 0.5)
            yield case, self.label, self.organ, distance_mm, int(self.voxels[n]), int(self.labelled_voxels[n])


def count_shells(
    reference: Labels, label_map: Labels, spacing_mm: tuple[float, float, float], organs: Mapping[int, str]
) -> list[OrganShells]:
    """Count the voxels of each shell of each organ that the reference has.

    Args:
        reference: (X, Y, Z) ids in 0..65535; 0 is background.
        label_map: (X, Y, Z) on the same grid.
        spacing_mm: of the voxels.
        organs: id -> name.

    Returns:
        One for each organ in the reference, in the order of `organs`.
    """
    x, y, z = sorted(range(3), key=lambda axis: -abs(reference.strides[axis]))
    maps = reference.transpose(x, y, z), label_map.transpose(x, y, z)
    steps_mm = np.array([spacing_mm[x], spacing_mm[y], spacing_mm[z]], np.float32)
    reach = [int(WIDTH_MM * SHELLS / step) + 2 for step in steps_mm]
    boxes = np.zeros((max(organs, default=0) + 1, 3, 2), np.int64)
    _find_boxes(maps[0], boxes)
    shells = []
    for label, organ in organs.items():
        if not boxes[label].any():
            continue
        box = tuple(slice(max(0, a - r), b + r) for (a, b), r in zip(boxes[label].tolist(), reach, strict=True))
        counts = _count_organ(maps[0][box], maps[1][box], label, steps_mm)
        shells.append(OrganShells(label, organ, counts[:, 0], counts[:, 1]))
    return shells


def _count_organ(reference: Labels, label_map: Labels, label: int, steps_mm: NDArray[np.float32]) -> NDArray[np.int64]:
    """(2 * SHELLS + 1, 2) voxels of each shell, and those that the label map labels."""
    furthest_mm2 = np.float32((WIDTH_MM * (SHELLS + 1) + steps_mm.min() / 2) ** 2)
    # Square of the distance of each voxel to the nearest one on the other side of the surface, in mm².
    squares: NDArray[np.float32] = np.full(reference.shape, furthest_mm2, np.float32)
    _search_rows(reference, label, steps_mm[2], squares)
    every = 2 if reference.size > LARGE else 1
    reference, label_map, squares = reference[:, :, ::every], label_map[:, :, ::every], squares[:, :, ::every]
    _search_lines(reference.transpose(0, 2, 1), label, steps_mm[1], furthest_mm2, squares.transpose(0, 2, 1))
    reference, label_map, squares = reference[:, ::every], label_map[:, ::every], squares[:, ::every]
    _search_lines(reference.transpose(1, 2, 0), label, steps_mm[0], furthest_mm2, squares.transpose(1, 2, 0))
    counts = np.zeros((2 * SHELLS + 1, 2), np.int64)
    _count(reference, label_map, label, squares, steps_mm, counts)
    return counts


@njit(nogil=True, cache=True)
def _find_boxes(labels: Labels, boxes: NDArray[np.int64]) -> None:
    """Write the start and end of each label along each axis; labels beyond the last box are left out."""
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            previous = 0
            for k in range(labels.shape[2]):
                label = labels[i, j, k]
                if label == previous and (label == 0 or boxes[label, 2, 1] > k):
                    continue
                previous = label
                if label == 0 or label >= boxes.shape[0]:
                    continue
                box = boxes[label]
                is_new = box[0, 1] == 0
                for axis, place in enumerate((i, j, k)):
                    box[axis, 0] = place if is_new else min(box[axis, 0], place)
                    box[axis, 1] = max(box[axis, 1], place + 1)


@njit(nogil=True, cache=True)
def _search_rows(reference: Labels, label: int, step_mm: np.float32, squares: NDArray[np.float32]) -> None:
    """Along each row, to the nearest voxel on the other side; squares stay as they are where they are smaller."""
    size = reference.shape[2]
    for i in range(reference.shape[0]):
        for j in range(reference.shape[1]):
            for back in range(2):
                last_inside, last_outside = -1, -1
                for n in range(size):
                    k = size - 1 - n if back else n
                    inside = reference[i, j, k] == label
                    if inside:
                        last_inside = n
                    else:
                        last_outside = n
                    other = last_outside if inside else last_inside
                    if other >= 0:
                        distance = np.float32(n - other) * step_mm
                        squares[i, j, k] = min(squares[i, j, k], distance * distance)


@njit(nogil=True, cache=True)
def _search_lines(
    reference: Labels, label: int, step_mm: np.float32, furthest_mm2: np.float32, squares: NDArray[np.float32]
) -> None:
    """Along the last axis, the least sum of a step's square and the square there, which is 0 on the other side."""
    size = reference.shape[2]
    most = min(size - 1, int(np.sqrt(furthest_mm2) / step_mm))
    # Squares as voxels inside and outside see them, with room for the steps over both ends of the line.
    before = np.full((2, size + 2 * most), furthest_mm2, np.float32)
    least = np.empty((2, size), np.float32)
    for i in range(reference.shape[0]):
        for j in range(reference.shape[1]):
            is_near = False
            for k in range(size):
                side, square = int(reference[i, j, k] == label), squares[i, j, k]
                before[side, most + k] = least[side, k] = square
                before[1 - side, most + k] = least[1 - side, k] = 0
                is_near |= square < furthest_mm2 or side != int(reference[i, j, 0] == label)
            if is_near:
                for side in range(2):
                    _lower(before[side], most, step_mm, least[side])
                for k in range(size):
                    squares[i, j, k] = least[int(reference[i, j, k] == label), k]


@njit(nogil=True, cache=True)
def _lower(before: NDArray[np.float32], most: int, step_mm: np.float32, least: NDArray[np.float32]) -> None:
    """Lower each square to the least sum over the steps; written so that the compiler takes several voxels at once."""
    size = least.size
    for n in range(1, most + 1):
        square = (np.float32(n) * step_mm) ** 2
        left, right = before[most - n : most - n + size], before[most + n : most + n + size]
        for k in range(size):
            there = left[k] if left[k] < right[k] else right[k]
            there += square
            least[k] = there if there < least[k] else least[k]


@njit(nogil=True, cache=True)
def _count(
    reference: Labels, label_map: Labels, label: int, squares: NDArray[np.float32], steps_mm: NDArray[np.float32],
    counts: NDArray[np.int64],
) -> None:  # fmt: skip
    """Add the voxels to the counts of their shells."""
    half = steps_mm.min() / 2
    for i in range(reference.shape[0]):
        for j in range(reference.shape[1]):
            for k in range(reference.shape[2]):
                depth = int((np.sqrt(squares[i, j, k]) - half) / WIDTH_MM + TIE)
                if reference[i, j, k] == label:
                    shell = SHELLS - min(depth, SHELLS)
                elif depth < SHELLS:
                    shell = SHELLS + 1 + depth
                else:
                    continue
                counts[shell, 0] += 1
                counts[shell, 1] += label_map[i, j, k] == label
