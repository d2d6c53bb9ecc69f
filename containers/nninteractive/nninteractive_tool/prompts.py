"""Prompts: a box or a point for each part of an organ, in the axial slice in which the part is largest."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
ANY_NEIGHBOUR = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A box in one slice, or a point.

    Attributes:
        first: voxel indices of the box's lowest corner.
        last: of its highest one, inside it; the same as `first` for a point.
    """

    first: tuple[int, int, int]
    last: tuple[int, int, int]

    @property
    def half_open(self) -> list[list[int]]:
        """[start, end) along each axis, as nnInteractive takes boxes."""
        return [[start, end + 1] for start, end in zip(self.first, self.last, strict=True)]


@dataclass(frozen=True, slots=True)
class PromptRule:
    """How prompts are made.

    Attributes:
        kind: a box around the part in its largest slice, or the point that is farthest from the part's edge there.
        margin: enlarges every side of a box, in voxels.
        min_volume: connected parts (26 neighbours) with fewer voxels get no prompt.
    """

    kind: Literal["box", "point"]
    margin: int
    min_volume: int


def make_prompts(organ: Mask, rule: PromptRule) -> Iterator[Prompt]:
    """Make a prompt for each part of an organ that is large enough, in the order of their first voxels.

    Args:
        organ: (Z, Y, X) where the organ is.
        rule: how prompts are made.
    """
    parts, _ = ndimage.label(organ, structure=ANY_NEIGHBOUR)
    for part, where in enumerate(ndimage.find_objects(parts), 1):
        inside = parts[where] == part
        if inside.sum() >= rule.min_volume:
            z = int(inside.sum(axis=(1, 2)).argmax())
            corners = _point(inside[z]) if rule.kind == "point" else _box(inside[z], rule.margin)
            start = [where[0].start + z, where[1].start, where[2].start]
            first, last = np.clip(np.add(start, corners), 0, np.array(organ.shape) - 1).tolist()
            yield Prompt(tuple(first), tuple(last))


def _box(inside: Mask, margin: int) -> list[list[int]]:
    """First and last voxel (z, y, x) of a box around a (Y, X) mask, from its first voxel."""
    rows, columns = np.nonzero(inside)
    return [
        [0, int(rows.min()) - margin, int(columns.min()) - margin],
        [0, int(rows.max()) + margin, int(columns.max()) + margin],
    ]


def _point(inside: Mask) -> list[list[int]]:
    """The voxel (z, y, x) of a (Y, X) mask that is farthest from its edge, twice."""
    depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    return [[0, int(row), int(column)]] * 2
