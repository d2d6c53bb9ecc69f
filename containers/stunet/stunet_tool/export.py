"""From probabilities at 1.5 mm to labels on the image's voxels: each class in turn, the highest so far is kept.

The work goes piece by piece, so no more than one class of one piece is held on the image's voxels. A voxel between two
pieces is made of both; the later one makes it, for which `Borders` keeps the last voxels of the earlier ones.
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
from stunet_tool.tiles import Box, longest_first, shift_box

Probabilities = NDArray[np.float32]


def highest_classes(pieces: Iterable[Piece], classes: int, axes: Axes) -> LabelMap:
    """Resample every class to another grid and take the highest; of equals, the lowest class.

    Args:
        pieces: of the volume, the longest axis slowest.
        classes: how many, up to 256.
        axes: from the volume's grid to the other.

    Returns:
        (z, y, x) class of each voxel.
    """
    labels = np.zeros(axes.result_counts, np.uint8)
    borders = _make_borders(classes, axes.counts)
    for piece in pieces:
        borders.begin(piece.box)
        where = axes.ending_in(piece.box)
        canvas = Canvas(where, labels[where], np.zeros(labels[where].shape, np.float32))
        for label in range(classes):
            part = borders.join(piece.box, label, piece.probability(label))
            _draw_class(canvas, label, part, axes, 0.5 / classes)
        piece.blocks.clear()  # up to a gigabyte, which the next piece needs
    return labels


def resample_labels(labels: LabelMap, axes: Axes) -> LabelMap:
    """Resample labels to another grid: each mask is interpolated, half of a voxel is enough, the highest label wins.

    Args:
        labels: (z, y, x).
        axes: from their grid to the other.
    """
    result = np.zeros(axes.result_counts, labels.dtype)
    z, y, x = (slice(0, n) for n in axes.result_counts)
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        where = axes.touching(box, (z, y, x))
        if not _is_empty(where):
            share = axes.interpolate((labels[axes.source(where)] == label).astype(np.float64), where)
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


def _draw_class(canvas: Canvas, label: int, part: Part, axes: Axes, least: float) -> None:
    """Put a class where it is higher than the best so far.

    Args:
        canvas: to draw on.
        label: the class.
        part: all that the canvas is made of.
        axes: from the volume's grid to the canvas'.
        least: only voxels above it, and those next to them, can win. (Of n probabilities that add up to 1, the highest
            is at least 1/n.)
    """
    likely = part.values > least
    if not likely.any():
        return
    box = nonzero_box(likely)
    z, y, x = (slice(a.start + o.start, a.stop + o.start) for a, o in zip(box, part.box, strict=True))
    where = axes.touching((z, y, x), canvas.box)
    if _is_empty(where):
        return
    values = axes.interpolate(part.values[shift_box(axes.source(where), part.box)], where)
    on_canvas = shift_box(where, canvas.box)
    better = values > canvas.best[on_canvas]
    canvas.best[on_canvas][better] = values[better]
    canvas.labels[on_canvas][better] = label


@dataclass(slots=True)
class Borders:
    """The last voxels of finished pieces along each axis, for the later pieces that need them.

    Axes are ordered by length here, as pieces come: layers of rows of pieces.

    Attributes:
        order: axes of (z, y, x), slowest first; they are called a, b, c below.
        planes: (classes, b, c) the last plane of the layer before, and that of this layer so far.
        rows: (classes, a, c) in this layer, the last row of the row of pieces before, and that of this row so far.
        columns: (a, b) of each class, the last column of the piece before, in this row.
    """

    order: list[int]
    planes: list[Probabilities]
    rows: list[Probabilities]
    columns: list[Probabilities]

    def begin(self, box: Box) -> None:
        """Prepare for the next piece."""
        a, b, c = (box[axis] for axis in self.order)
        if c.start > 0:
            return
        self.rows.reverse()
        if b.start == 0:
            self.planes.reverse()
            classes, _, length = self.planes[0].shape
            self.rows = [np.empty((classes, a.stop - a.start, length), np.float32) for _ in range(2)]

    def join(self, box: Box, label: int, values: Probabilities) -> Part:
        """Join a class of the piece with the voxels before it along each axis; its own last voxels are kept."""
        a, b, c = (box[axis] for axis in self.order)
        values = values.transpose(self.order)
        extended = [slice(max(part.start - 1, 0), part.stop) for part in (a, b, c)]
        joined = np.empty([part.stop - part.start for part in extended], np.float32)
        i, j, k = (int(part.start > 0) for part in (a, b, c))
        joined[i:, j:, k:] = values
        if k:
            joined[i:, j:, 0] = self.columns[label]
        if j:
            joined[i:, 0] = self.rows[0][label][:, extended[2]]
        if i:
            joined[0] = self.planes[0][label][extended[1], extended[2]]
        self.columns[label] = values[:, :, -1].copy()
        self.rows[1][label][:, c] = values[:, -1]
        self.planes[1][label][b, c] = values[-1]
        inverse_order = np.argsort(self.order)
        z, y, x = (extended[axis] for axis in inverse_order)
        return Part(joined.transpose(inverse_order), (z, y, x))


def _make_borders(classes: int, counts: tuple[int, ...]) -> Borders:
    """Make room for the borders of a volume of (z, y, x) voxels."""
    order = longest_first(counts)
    _, b, c = (counts[axis] for axis in order)
    planes = [np.empty((classes, b, c), np.float32) for _ in range(2)]
    return Borders(order, planes, [], [np.empty((0, 0), np.float32)] * classes)


def _is_empty(box: Box) -> bool:
    return any(part.start >= part.stop for part in box)
