"""Resampling to another grid over the same box, a part at a time; upstream's way, skimage's `resize`, takes wholes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from stunet_tool.preparation import nearest_indices, resampled_positions
from stunet_tool.tiles import Box

Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """Where voxels of the result lie among those of the source, along one axis.

    Attributes:
        count: voxels of the source.
        positions: of each voxel of the result, in voxels of the source; whole numbers where the nearest is taken.
        low: first voxel of the source that each voxel of the result is made of.
        high: last voxel of the source that each voxel of the result is made of.
    """

    count: int
    positions: NDArray[np.float64]
    low: NDArray[np.intp]
    high: NDArray[np.intp]

    def ending_in(self, part: slice) -> slice:
        """The result's voxels whose last voxel of the source is in a part."""
        return slice(*np.searchsorted(self.high, (part.start, part.stop)).tolist())

    def touching(self, part: slice, inside: slice) -> slice:
        """The result's voxels, inside a range of them, to which a part of the source contributes."""
        start, stop = np.searchsorted(self.high, part.start), np.searchsorted(self.low, part.stop)
        return slice(max(int(start), inside.start), min(int(stop), inside.stop))

    def source(self, part: slice) -> slice:
        """The source's voxels that a part of the result is made of; the part must not be empty."""
        return slice(int(self.low[part.start]), int(self.high[part.stop - 1]) + 1)


@dataclass(frozen=True, slots=True)
class Axes:
    """Three axes: from a grid (z, y, x) to another."""

    each: tuple[Axis, Axis, Axis]

    @property
    def counts(self) -> tuple[int, ...]:
        """Voxels of the source."""
        return tuple(axis.count for axis in self.each)

    @property
    def result_counts(self) -> tuple[int, ...]:
        """Voxels of the result."""
        return tuple(axis.positions.size for axis in self.each)

    def ending_in(self, box: Box) -> Box:
        """The result's voxels whose last voxels of the source are in a box: boxes that tile one grid tile the other."""
        z, y, x = (axis.ending_in(part) for axis, part in zip(self.each, box, strict=True))
        return z, y, x

    def touching(self, box: Box, inside: Box) -> Box:
        """The result's voxels, inside a box of them, to which a box of the source contributes."""
        z, y, x = (axis.touching(*parts) for axis, *parts in zip(self.each, box, inside, strict=True))
        return z, y, x

    def source(self, where: Box) -> Box:
        """The source's voxels that a part of the result is made of; the part must not be empty."""
        z, y, x = (axis.source(part) for axis, part in zip(self.each, where, strict=True))
        return z, y, x

    def interpolate(self, values: Floats, where: Box) -> Floats:
        """Interpolate linearly, with the kernel of skimage's `resize` and to the same last bit.

        Args:
            values: (z, y, x) `source(where)` of the source.
            where: part of the result, not empty.

        Returns:
            (z, y, x) of the type of `values`.
        """
        offsets = [axis.positions[part] - axis.source(part).start for axis, part in zip(self.each, where, strict=True)]
        grid = np.stack(np.meshgrid(*offsets, indexing="ij"))
        return np.asarray(ndimage.map_coordinates(values, grid, output=values.dtype, order=1, mode="nearest"))


def make_axes(counts: Sequence[int], result_counts: Sequence[int], separate: int | None) -> Axes:
    """The axes from one grid to another.

    Args:
        counts: voxels of the source along (z, y, x).
        result_counts: voxels of the result.
        separate: axis on which the nearest voxel is taken; None to interpolate along all.
    """
    z, y, x = (_make_axis(counts[axis], result_counts[axis], separate=axis == separate) for axis in range(3))
    return Axes((z, y, x))


def _make_axis(count: int, result_count: int, *, separate: bool) -> Axis:
    if separate:
        indices = nearest_indices(count, result_count)
        return Axis(count, indices.astype(np.float64), indices, indices)
    positions = resampled_positions(count, result_count)
    low = np.clip(np.floor(positions), 0, count - 1).astype(np.intp)
    return Axis(count, positions, low, np.clip(low + 1, 0, count - 1))
