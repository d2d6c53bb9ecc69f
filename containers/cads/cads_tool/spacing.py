"""To the networks' spacing and back, as upstream resamples: first and last voxels keep their centres."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from contract import LabelMap

SPACING_MM = 1.5
"""Voxel size of the networks' input, the same along each axis."""


def network_shape(shape: tuple[int, ...], spacing_mm: tuple[float, ...]) -> tuple[int, ...]:
    """Voxels at 1.5 mm; 0 where the volume is thinner than half a voxel."""
    return tuple(round(n * mm / SPACING_MM) for n, mm in zip(shape, spacing_mm, strict=True))


def resample_image(image: NDArray[np.generic], spacing_mm: tuple[float, ...]) -> NDArray[np.float32]:
    """Resample to 1.5 mm by cubic splines; HU lose their decimals, as upstream stores them.

    Args:
        image: (X, Y, Z) HU.
        spacing_mm: of the image.

    Returns:
        (X, Y, Z) HU at 1.5 mm.
    """
    zoom = np.divide(spacing_mm, SPACING_MM)
    return np.trunc(ndimage.zoom(image.astype(np.float64), zoom, order=3)).astype(np.float32)


def resample_labels(labels: LabelMap, shape: tuple[int, ...]) -> LabelMap:
    """Resample by nearest neighbour to the given voxels over the same volume."""
    zoomed: LabelMap = ndimage.zoom(labels, np.divide(shape, labels.shape), order=0)
    return zoomed
