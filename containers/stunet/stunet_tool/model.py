"""The steps from an image to its labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contract import LabelMap
from stunet_tool.axes import make_axes
from stunet_tool.export import highest_classes, resample_labels
from stunet_tool.inference import Predictor, predict_pieces
from stunet_tool.preparation import Prepared, prepare


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """What stays in memory from case to case.

    Attributes:
        predictor: the network, and how it is applied.
        classes: of the network, background included.
        fast: choose the class at 1.5 mm, not on the image's voxels.
    """

    predictor: Predictor
    classes: int
    fast: bool


def segment_volume(model: Model, image: NDArray[np.generic], spacing_mm: tuple[float, float, float]) -> LabelMap:
    """Segment an image; outside its crop is background.

    Args:
        model: the network and its options.
        image: (z, y, x) HU, not all 0.
        spacing_mm: along (z, y, x).

    Returns:
        (z, y, x) labels on the image's voxels.
    """
    prepared = prepare(image, spacing_mm)
    labels = np.zeros(image.shape, np.uint8)
    labels[prepared.crop] = _label_crop(model, prepared, labels[prepared.crop].shape)
    return labels


def _label_crop(model: Model, prepared: Prepared, shape: tuple[int, ...]) -> LabelMap:
    """Labels of the crop, (z, y, x) voxels of `shape`."""
    pieces = predict_pieces(model.predictor, prepared.array)
    axes = make_axes(prepared.array.shape, shape, prepared.separate)
    if not model.fast:
        return highest_classes(pieces, model.classes, axes)
    same_grid = make_axes(axes.counts, axes.counts, None)
    return resample_labels(highest_classes(pieces, model.classes, same_grid), axes)
