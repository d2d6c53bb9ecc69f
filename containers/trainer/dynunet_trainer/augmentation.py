"""Random changes of a patch, as in nnU-Net: rotation, scale, noise, blur, brightness, low resolution, mirroring.

Each patch has random numbers of its own. All of them are drawn, always in the same order, so the numbers of one
transform do not depend on whether another takes place. Probabilities and ranges are those of nnU-Net v2's
default trainer (Isensee et al., Nature Methods 2021), with two differences:

- A patch is rotated and scaled in mm, about its centre: in voxels, rotating thick slices would shear them.
- It is mirrored along the axes that the user names, by default along none: left and right organs are different labels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional

from dynunet_trainer.plan import Plan

Image = NDArray[np.float32]

ROTATION_PROBABILITY, SCALE_PROBABILITY = 0.2, 0.2
LARGEST_ANGLE = np.pi / 6
SCALES = (0.7, 1.4)
IN_PLANE_ABOVE = 3
"""A patch whose longest side has more than this times the voxels of its shortest is rotated about that axis alone."""


@dataclass(frozen=True, slots=True)
class Placement:
    """How a patch lies in its case.

    Attributes:
        linear_map: (3, 3) voxel steps of the patch -> voxel steps of the case; None without rotation and scale.
        mirrored_axes: axes along which the patch is reversed.
    """

    linear_map: NDArray[np.float64] | None
    mirrored_axes: tuple[int, ...]


def draw_placement(random: np.random.Generator, plan: Plan, mirror_axes: tuple[int, ...]) -> Placement:
    """Draw rotation, scale and mirroring.

    Args:
        random: nine numbers are drawn, whether they are used or not.
        plan: its patch and spacing.
        mirror_axes: axes along which half of the patches are mirrored.
    """
    rotation_draw, scale_draw = random.random(), random.random()
    amounts, mirror_draws = random.random(4), random.random(3)
    angles = (2 * amounts[:3] - 1) * LARGEST_ANGLE * (rotation_draw < ROTATION_PROBABILITY)
    size = np.array(plan.patch)
    if size.max() > IN_PLANE_ABOVE * size.min():
        angles[np.arange(3) != size.argmin()] = 0
    scale = SCALES[0] + (SCALES[1] - SCALES[0]) * amounts[3] if scale_draw < SCALE_PROBABILITY else 1.0
    mirrored_axes = tuple(axis for axis in mirror_axes if mirror_draws[axis] < 0.5)
    if rotation_draw >= ROTATION_PROBABILITY and scale_draw >= SCALE_PROBABILITY:
        return Placement(None, mirrored_axes)
    spacing = np.array(plan.spacing_mm)
    return Placement(_rotation(angles) * spacing / spacing[:, None] * scale, mirrored_axes)


def change_intensities(image: Image, random: np.random.Generator, air: float) -> Image:
    """Apply each transform of intensities with its own probability.

    Args:
        image: (X, Y, Z) normalised patch; may be overwritten.
        random: of this patch.
        air: the lowest normalised value.

    Returns:
        (X, Y, Z) float32.
    """
    for probability, transform in INTENSITY_TRANSFORMS:
        draw, amount = random.random(2)
        if draw < probability:
            image = transform(image, float(amount), random)
    return np.maximum(image, np.float32(air), out=image)


def _noise(image: Image, amount: float, random: np.random.Generator) -> Image:
    """Gaussian noise with a standard deviation of 0 to 0.1."""
    image += random.standard_normal(image.shape, np.float32) * np.float32(0.1 * amount)
    return image


def _blur(image: Image, amount: float, random: np.random.Generator) -> Image:
    """Gaussian blur with a standard deviation of 0.5 to 1 voxels."""
    return np.asarray(ndimage.gaussian_filter(image, 0.5 + 0.5 * amount, mode="nearest", truncate=3), np.float32)


def _brightness(image: Image, amount: float, random: np.random.Generator) -> Image:
    image *= np.float32(0.75 + 0.5 * amount)
    return image


def _contrast(image: Image, amount: float, random: np.random.Generator) -> Image:
    """Away from the mean or towards it, within the range that the patch had."""
    mean, lowest, highest = image.mean(dtype=np.float64), image.min(), image.max()
    image -= np.float32(mean)
    image *= np.float32(0.75 + 0.5 * amount)
    image += np.float32(mean)
    return np.clip(image, lowest, highest, out=image)


def _low_resolution(image: Image, amount: float, random: np.random.Generator) -> Image:
    """As if scanned at half to full resolution: nearest voxels down, linear up."""
    volume = torch.from_numpy(image)[None, None]
    small = [max(1, round(n * (0.5 + 0.5 * amount))) for n in image.shape]
    coarse = functional.interpolate(volume, size=small, mode="nearest-exact")
    fine = functional.interpolate(coarse, size=image.shape, mode="trilinear", align_corners=False)
    return np.ascontiguousarray(fine[0, 0].numpy())


def _inverted_gamma(image: Image, amount: float, random: np.random.Generator) -> Image:
    np.negative(image, out=image)
    image = _gamma(image, amount, random)
    return np.negative(image, out=image)


def _gamma(image: Image, amount: float, random: np.random.Generator) -> Image:
    """Gamma of 0.7 to 1.5, then mean and standard deviation as they were."""
    mean, std, lowest = image.mean(dtype=np.float64), image.std(dtype=np.float64), image.min()
    span = max(float(image.max() - lowest), 1e-7)
    image -= lowest
    image /= np.float32(span)
    np.power(image, np.float32(0.7 + 0.8 * amount), out=image)
    image -= np.float32(image.mean(dtype=np.float64))
    image *= np.float32(std / max(float(image.std(dtype=np.float64)), 1e-7))
    image += np.float32(mean)
    return image


Transform = Callable[[Image, float, np.random.Generator], Image]
INTENSITY_TRANSFORMS: tuple[tuple[float, Transform], ...] = (
    (0.1, _noise),
    (0.1, _blur),
    (0.15, _brightness),
    (0.15, _contrast),
    (0.125, _low_resolution),
    (0.1, _inverted_gamma),
    (0.3, _gamma),
)
"""Probability and transform, in order. nnU-Net draws blur and low resolution a second time a channel, at one half."""


def _rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) rotation about x, then y, then z."""
    result = np.eye(3)
    for axis, angle in enumerate(angles):
        c, s = np.cos(angle), np.sin(angle)
        i, j = (axis + 1) % 3, (axis + 2) % 3
        about_axis = np.eye(3)
        about_axis[[i, i, j, j], [i, j, i, j]] = [c, -s, s, c]
        result = about_axis @ result
    return result
