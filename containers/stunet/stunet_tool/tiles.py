"""Tiles of a volume as nnU-Net 1.7 lays them, and the pieces in which their sums become final.

Tiles overlap: a voxel's probabilities are known when the last tile that covers it is done. Held for the whole volume,
105 of them a voxel would be many gigabytes. So sums are kept in blocks between the edges of tiles, each from the first
tile that touches it to the last.

    starts of the tiles     0        51       103                    tile 0, 1, 2 of 128 voxels
    finished after tile     |-- 0 ---|-- 1 ---|-------- 2 --------|
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Index = tuple[int, int, int]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True)
class Row:
    """The tiles along one axis.

    Attributes:
        count: voxels of the volume.
        before: voxels of padding below it, where it is smaller than a tile.
        starts: first voxel of each tile, padding included.
        patch: voxels of a tile.
    """

    count: int
    before: int
    starts: tuple[int, ...]
    patch: int

    @property
    def after(self) -> int:
        """Voxels of padding above the volume."""
        return max(self.patch - self.count, 0) - self.before

    def window(self, tile: int) -> slice:
        """What a tile covers."""
        return slice(self.starts[tile], self.starts[tile] + self.patch)

    def finished(self, tile: int) -> slice:
        """What becomes final with a tile: no later tile covers it, and no earlier one finished it."""
        is_last = tile + 1 == len(self.starts)
        return slice(self.starts[tile], self.window(tile).stop if is_last else self.starts[tile + 1])

    def blocks(self, part: slice) -> list[slice]:
        """Cut a window, or what is finished, at the edges of all tiles; parts longer than half a tile are halved."""
        edges = sorted({edge for start in self.starts for edge in (start, start + self.patch)})
        halves = [(a + b) // 2 for a, b in pairwise(edges) if b - a > self.patch // 2]
        cuts = sorted([*edges, *halves])
        return [slice(a, b) for a, b in pairwise(cuts) if part.start <= a and b <= part.stop]


@dataclass(frozen=True, slots=True)
class Tiling:
    """The tiles of a volume; boxes are in voxels of the padded one."""

    rows: tuple[Row, Row, Row]

    @property
    def count(self) -> int:
        """How many tiles there are."""
        return int(np.prod([len(row.starts) for row in self.rows]))

    @property
    def volume(self) -> Box:
        """The volume itself, in the padded one."""
        z, y, x = (slice(row.before, row.before + row.count) for row in self.rows)
        return z, y, x

    @property
    def padding(self) -> list[tuple[int, int]]:
        """Voxels before and after the volume along each axis."""
        return [(row.before, row.after) for row in self.rows]

    def tiles(self) -> Iterator[Index]:
        """All tiles, the longest axis slowest, which keeps the sums between two layers of tiles small."""
        order = longest_first([row.count for row in self.rows])
        for indices in product(*(range(len(self.rows[axis].starts)) for axis in order)):
            z, y, x = (indices[order.index(axis)] for axis in range(3))
            yield z, y, x

    def window(self, tile: Index) -> Box:
        """What a tile covers."""
        z, y, x = (row.window(i) for row, i in zip(self.rows, tile, strict=True))
        return z, y, x

    def finished(self, tile: Index) -> Box:
        """What becomes final with a tile: no later tile covers it, and no earlier one finished it."""
        z, y, x = (row.finished(i) for row, i in zip(self.rows, tile, strict=True))
        return z, y, x

    def blocks(self, box: Box) -> Iterator[Box]:
        """Cut a window, or what is finished, into blocks; each tile covers a whole block or nothing of it."""
        z, y, x = (row.blocks(part) for row, part in zip(self.rows, box, strict=True))
        yield from product(z, y, x)


def make_tiling(shape: tuple[int, ...], patch: int, step: float) -> Tiling:
    """Lay tiles over a volume, evenly spread.

    Args:
        shape: voxels of the volume; it is padded to at least a tile.
        patch: voxels of a tile along each axis.
        step: largest step from tile to tile, as a share of the patch.
    """
    z, y, x = (_make_row(count, patch, step) for count in shape)
    return Tiling((z, y, x))


def tile_weights(patch: int) -> NDArray[np.float32]:
    """(patch, patch, patch) weight of each voxel of a tile: a Gaussian of one eighth of the patch, 1 in the middle."""
    middle = np.zeros((patch,) * 3)
    middle[(patch // 2,) * 3] = 1
    weights = ndimage.gaussian_filter(middle, patch / 8, mode="constant")
    weights = (weights / weights.max()).astype(np.float32)
    weights[weights == 0] = weights[weights > 0].min()
    return weights


def longest_first(counts: Sequence[int]) -> list[int]:
    """Axes of (z, y, x), longest first; of two that are equal, the earlier one first."""
    return sorted(range(3), key=lambda axis: -counts[axis])


def shift_box(box: Box, origin: Box) -> Box:
    """Count a box from the first voxel of another one."""
    z, y, x = (slice(a.start - o.start, a.stop - o.start) for a, o in zip(box, origin, strict=True))
    return z, y, x


def intersection(box: Box, other: Box) -> Box:
    """What two boxes share."""
    z, y, x = (slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(box, other, strict=True))
    return z, y, x


def _make_row(count: int, patch: int, step: float) -> Row:
    rest = max(count - patch, 0)
    steps = ceil(rest / (patch * step))
    starts = tuple(round(rest / steps * i) for i in range(steps + 1)) if steps else (0,)
    return Row(count, max(patch - count, 0) // 2, starts, patch)
