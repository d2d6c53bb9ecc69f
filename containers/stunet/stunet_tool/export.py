"""From probabilities at 1.5 mm to labels on the image's voxels: each class in turn, the highest so far is kept.

It goes piece by piece, so that never more than one class of one piece is held on the image's voxels. A voxel between
two pieces is made of both; it is left to the later one, for which `Borders` keeps the last voxels of the earlier ones.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from contract import LabelMap
from stunet_tool.axes import Axes
from stunet_tool.inference import Piece
from stunet_tool.preparation import nonzero_box
from stunet_tool.tiles import Box, longest_first, shifted

Probabilities = NDArray[np.float32]


def highest(pieces: Iterable[Piece], classes: int, axes: Axes) -> LabelMap:
    """Bring every class to another grid and take the highest; of equals, the lowest class.

    Args:
        pieces: of the volume, the longest axis slowest.
        classes: how many, up to 256.
        axes: from the volume's grid to the other.

    Returns:
        (z, y, x) class of each voxel.
    """
    labels = np.zeros(axes.wanted, np.uint8)
    borders = _no_borders(classes, axes.counts)
    for piece in pieces:
        borders.begin(piece.box)
        where = axes.ending_in(piece.box)
        canvas = Canvas(where, labels[where], np.zeros(labels[where].shape, np.float32))
        for label in range(classes):
            part = borders.joined(piece.box, label, piece.probability(label))
            _draw(canvas, label, part, axes, 0.5 / classes)
        piece.blocks.clear()  # up to a gigabyte, which the tiles of the next piece need
    return labels


def bring_labels(labels: LabelMap, axes: Axes) -> LabelMap:
    """Bring labels to another grid: each one's mask is interpolated, half of a voxel is enough, the highest label wins.

    Args:
        labels: (z, y, x).
        axes: from their grid to the other.
    """
    result = np.zeros(axes.wanted, labels.dtype)
    z, y, x = (slice(0, n) for n in axes.wanted)
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        where = axes.touching(box, (z, y, x))
        if not _is_empty(where):
            share = axes.interpolated((labels[axes.source(where)] == label).astype(np.float64), where)
            result[where][share >= 0.5] = label
    return result


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """A part of the result while classes are drawn on it.

    Attributes:
        box: the part.
        labels: (z, y, x) class of the highest probability so far.
        best: (z, y, x) that probability.
    """

    box: Box
    labels: LabelMap
    best: Probabilities


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One class on a part of the volume.

    Attributes:
        values: (z, y, x) its probability.
        box: the part.
    """

    values: Probabilities
    box: Box


def _draw(canvas: Canvas, label: int, part: Part, axes: Axes, least: float) -> None:
    """Put a class where it is higher than the best so far.

    Args:
        canvas: to draw on.
        label: the class.
        part: all that the canvas is made of.
        axes: from the volume's grid to the canvas'.
        least: what wins is above it, hence so is one of the voxels that it is made of: only there need one look. (Of n
            probabilities that add up to 1, the highest is at least 1/n.)
    """
    likely = part.values > least
    if not likely.any():
        return
    found = nonzero_box(likely)
    z, y, x = (slice(a.start + o.start, a.stop + o.start) for a, o in zip(found, part.box, strict=True))
    where = axes.touching((z, y, x), canvas.box)
    if _is_empty(where):
        return
    values = axes.interpolated(part.values[shifted(axes.source(where), part.box)], where)
    here = shifted(where, canvas.box)
    better = values > canvas.best[here]
    canvas.best[here][better] = values[better]
    canvas.labels[here][better] = label


@dataclass(slots=True)
class Borders:
    """The last voxels of the pieces that are done, along each axis, for the later pieces that need them.

    Inside, axes are ordered by length, as pieces come: layers of rows of pieces.

    Attributes:
        order: axes of (z, y, x), slowest first; they are called a, b, c below.
        planes: (classes, b, c) the last plane of all pieces below this layer, and that of the layer so far.
        rows: (classes, a, c) in this layer, the last row of all pieces before this row of them, and of the row so far.
        columns: (a, b) of each class, the last column of the piece before in this row.
    """

    order: list[int]
    planes: list[Probabilities]
    rows: list[Probabilities]
    columns: list[Probabilities]

    def begin(self, box: Box) -> None:
        """Turn to the next piece."""
        a, b, c = (box[axis] for axis in self.order)
        if c.start > 0:
            return
        self.rows.reverse()
        if b.start == 0:
            self.planes.reverse()
            classes, _, length = self.planes[0].shape
            self.rows = [np.empty((classes, a.stop - a.start, length), np.float32) for _ in range(2)]

    def joined(self, box: Box, label: int, values: Probabilities) -> Part:
        """A class of the piece, with the voxels before it along each axis; its own last ones are kept."""
        a, b, c = (box[axis] for axis in self.order)
        values = values.transpose(self.order)
        wide = [slice(max(part.start - 1, 0), part.stop) for part in (a, b, c)]
        whole = np.empty([part.stop - part.start for part in wide], np.float32)
        i, j, k = (int(part.start > 0) for part in (a, b, c))
        whole[i:, j:, k:] = values
        if k:
            whole[i:, j:, 0] = self.columns[label]
        if j:
            whole[i:, 0] = self.rows[0][label][:, wide[2]]
        if i:
            whole[0] = self.planes[0][label][wide[1], wide[2]]
        self.columns[label] = values[:, :, -1].copy()
        self.rows[1][label][:, c] = values[:, -1]
        self.planes[1][label][b, c] = values[-1]
        back = np.argsort(self.order)
        z, y, x = (wide[axis] for axis in back)
        return Part(whole.transpose(back), (z, y, x))


def _no_borders(classes: int, counts: tuple[int, ...]) -> Borders:
    """Room for the borders of a volume of (z, y, x) voxels."""
    order = longest_first(counts)
    _, b, c = (counts[axis] for axis in order)
    planes = [np.empty((classes, b, c), np.float32) for _ in range(2)]
    return Borders(order, planes, [], [np.empty((0, 0), np.float32)] * classes)


def _is_empty(box: Box) -> bool:
    return any(part.start >= part.stop for part in box)
