"""Prepare an image for the network: crop, 1.5 mm, z-score, in this order and with nothing clipped.

The mean and the deviation are those of the whole crop, air included, so another crop gives other labels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.transform import resize

from stunet_tool.tiles import Box

SPACING_MM = 1.5
"""Of the network's voxels, along each axis."""
ANISOTROPY = 3.0
"""Above this ratio of spacings, the coarsest axis is resampled separately, by nearest neighbour."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """An image as the network sees it.

    Attributes:
        array: (z, y, x) float32 of mean 0 and deviation 1 on voxels of 1.5 mm.
        crop: the part of the (z, y, x) image that it shows.
        separate: the axis that is resampled by nearest neighbour; None for none.
    """

    array: NDArray[np.float32]
    crop: Box
    separate: int | None


def prepare(image: NDArray[np.generic], spacing_mm: tuple[float, float, float]) -> Prepared:
    """Crop, resample and normalise an image.

    Args:
        image: (z, y, x) HU, not all 0.
        spacing_mm: along (z, y, x).
    """
    crop = nonzero_box(image)
    part = np.ascontiguousarray(image[crop], dtype=np.float32)
    separate = separate_axis(spacing_mm)
    resampled = resample(part, network_shape(part.shape, spacing_mm), separate)
    return Prepared(normalise(resampled), crop, separate)


def nonzero_box(image: NDArray[np.generic]) -> Box:
    """The smallest box around all voxels other than 0; there must be one.

    Upstream fills holes first, which does not change the box.
    """
    z, y, x = (np.flatnonzero(image.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1)))
    return slice(int(z[0]), int(z[-1]) + 1), slice(int(y[0]), int(y[-1]) + 1), slice(int(x[0]), int(x[-1]) + 1)


def network_shape(shape: tuple[int, ...], spacing_mm: tuple[float, ...]) -> tuple[int, ...]:
    """Voxels at 1.5 mm, at least one along each axis."""
    return tuple(max(1, round(n * mm / SPACING_MM)) for n, mm in zip(shape, spacing_mm, strict=True))


def separate_axis(spacing_mm: tuple[float, ...]) -> int | None:
    """The axis that is resampled separately: the single coarsest of a very anisotropic image, else None."""
    coarsest = max(spacing_mm)
    if coarsest / min(spacing_mm) <= ANISOTROPY or spacing_mm.count(coarsest) > 1:
        return None
    return spacing_mm.index(coarsest)


def resample(image: NDArray[np.float32], shape: tuple[int, ...], separate: int | None) -> NDArray[np.float32]:
    """Resample by cubic splines, clipped to the image's range; along the separate axis by nearest neighbour.

    Args:
        image: (z, y, x).
        shape: of the result.
        separate: axis of nearest neighbours; None for none.
    """
    if image.shape == shape:
        return image
    if separate is None:
        return _resize_cubic(image, shape)
    slices = np.moveaxis(image, separate, 0)
    plane_shape = shape[:separate] + shape[separate + 1 :]
    resized = np.stack([_resize_cubic(plane, plane_shape) for plane in slices])
    nearest = resized[nearest_indices(image.shape[separate], shape[separate])]
    return np.ascontiguousarray(np.moveaxis(nearest, 0, separate))


def nearest_indices(count: int, result_count: int) -> NDArray[np.intp]:
    """Index of the nearest of `count` voxels for each of `result_count` voxels over the same length."""
    indices = np.arange(count, dtype=np.float64)
    nearest = ndimage.map_coordinates(indices, resampled_positions(count, result_count)[None], order=0, mode="nearest")
    return nearest.astype(np.intp)


def resampled_positions(count: int, result_count: int) -> NDArray[np.float64]:
    """Positions of `result_count` voxels among `count` voxels over the same length; the outermost lie outside."""
    return (np.arange(result_count) + 0.5) * (count / result_count) - 0.5


def normalise(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shift and scale to mean 0 and deviation 1; an image of one value becomes 0."""
    return np.asarray((image - image.mean()) / (image.std() + 1e-8), dtype=np.float32)


def _resize_cubic(image: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    resized = resize(image.astype(np.float64), shape, order=3, mode="edge", anti_aliasing=False)
    return np.asarray(resized, dtype=np.float32)
