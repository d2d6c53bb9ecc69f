"""Resampling: images and labels to another spacing, and a network's scores back.

All grids cover the same box: voxel i of n_out lies at (i + 1/2) n_in / n_out - 1/2 of the source, clamped to its
outermost voxel centres, as in skimage's `resize(mode="edge")` and so in nnU-Net. The work goes axis by axis.

Always on the CPU: a GPU would give other last bits, and the store is shared by all networks that are trained on it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from dynunet_trainer.kernels import export_planes, vote_planes
from dynunet_trainer.plan import Spacing, Triple

TIE = 1e-9
"""Shares of a voxel that differ by less count as equal; float64 noise is about 1e-14."""
BLOCK = 64
"""Rows of a matrix that are multiplied at once."""
NEGLIGIBLE = 1e-8
"""A spline's weights fall to this 14 voxels away; a thousand HU times it is far below a stored step of 1/8 HU."""


def resampled_shape(shape: Triple, spacing_mm: Spacing, target_mm: Spacing) -> Triple:
    """Shape at another spacing, at least one voxel along each axis."""
    x, y, z = (max(1, round(n * s / t)) for n, s, t in zip(shape, spacing_mm, target_mm, strict=True))
    return (x, y, z)


def resample_image(image: NDArray[np.generic], shape: Triple) -> NDArray[np.float32]:
    """Resample with cubic splines, clipped to the image's range, as nnU-Net does through skimage.

    A cubic spline is linear in the voxels, so each axis is one product with a matrix.

    Args:
        image: (X, Y, Z) HU.
        shape: of the result.

    Returns:
        (x, y, z) float32 HU.
    """
    values = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
    lowest, highest = values.amin(), values.amax()
    for axis in sorted(range(3), key=lambda a: shape[a] / image.shape[a]):
        if shape[axis] != image.shape[axis]:
            values = _multiply_axis(axis, torch.from_numpy(_cubic_matrix(image.shape[axis], shape[axis])), values)
    return np.ascontiguousarray(values.clamp_(lowest, highest).numpy())


def resample_labels(labels: NDArray[np.uint8], shape: Triple) -> NDArray[np.uint8]:
    """Resample labels by the share each has of a voxel: every label's mask interpolated linearly, the largest wins.

    Where shares are equal, the label of the nearest source voxel wins if it is among them (the lower index at equal
    distance), else the lowest label. Giving such voxels to the background would shrink organs.

    Args:
        labels: (X, Y, Z) labels; 0 is background.
        shape: of the result.

    Returns:
        (x, y, z) uint8 labels.
    """
    winner = np.empty(shape, np.uint8)
    low, weight = _stack_axes([linear_axis(n_in, n_out) for n_in, n_out in zip(labels.shape, shape, strict=True)])
    vote_planes(np.ascontiguousarray(labels), low, weight, TIE, winner)
    return winner


def highest_channel(scores: NDArray[np.float32], shape: Triple) -> NDArray[np.uint8]:
    """Interpolate each channel's scores linearly and give the channel with the highest; the lowest of equals.

    Args:
        scores: (C, X, Y, Z).
        shape: of the result.

    Returns:
        (x, y, z) channels.
    """
    channels = np.empty(shape, np.uint8)
    write_highest_channels(
        scores, [linear_axis(n_in, n_out) for n_in, n_out in zip(scores.shape[1:], shape, strict=True)], channels
    )
    return channels


def write_highest_channels(
    scores: NDArray[np.float32], axes: Sequence["LinearAxis"], channels: NDArray[np.uint8]
) -> None:
    """Interpolate each channel's scores linearly and write the channel with the highest; the lowest of equals.

    Args:
        scores: (C, X, Y, Z).
        axes: three, from the voxels of the scores to those of the result.
        channels: (x, y, z) is written.
    """
    low, weight = _stack_axes(axes)
    export_planes(scores, low, weight.astype(np.float32), channels)


@dataclass(frozen=True, slots=True, eq=False)
class LinearAxis:
    """Linear interpolation along one axis: result[i] = (1 - weight[i]) source[low[i]] + weight[i] source[high[i]]."""

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    weight: NDArray[np.float64]


def linear_axis(n_in: int, n_out: int) -> LinearAxis:
    """Interpolation from n_in to n_out voxels that cover the same length."""
    position = np.clip((np.arange(n_out) + 0.5) * (n_in / n_out) - 0.5, 0, n_in - 1)
    low = np.floor(position).astype(np.int64)
    return LinearAxis(low, np.minimum(low + 1, n_in - 1), position - low)


def _stack_axes(axes: Sequence[LinearAxis]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(3, N) lower neighbours and weights of three axes, as kernels take them; N is the longest axis' length."""
    longest = max(axis.low.size for axis in axes)
    low, weight = np.zeros((3, longest), np.int64), np.zeros((3, longest))
    for number, axis in enumerate(axes):
        low[number, : axis.low.size], weight[number, : axis.low.size] = axis.low, axis.weight
    return low, weight


def _multiply_axis(axis: int, matrix: Tensor, values: Tensor) -> Tensor:
    """Multiply one axis with a matrix, a block of rows at a time and without the columns that are zero there.

    Args:
        axis: of (X, Y, Z).
        matrix: (n_out, n_in); what is far from its diagonal is negligible.
        values: (X, Y, Z) contiguous, n_in along the axis.

    Returns:
        The same with n_out along the axis.
    """
    n_out, n_in = matrix.shape
    before, after = math.prod(values.shape[:axis]), math.prod(values.shape[axis + 1 :])
    source, result = values.reshape(before, n_in, after), values.new_empty(before, n_out, after)
    for first in range(0, n_out, BLOCK):
        rows = matrix[first : first + BLOCK]
        used = torch.nonzero((rows.abs() > NEGLIGIBLE).any(dim=0)).flatten()
        columns = slice(int(used[0]), int(used[-1]) + 1)
        part = rows[:, columns].contiguous()
        if after == 1:
            result[:, first : first + BLOCK, 0] = source[:, columns, 0] @ part.T
        else:
            for source_part, result_part in zip(source, result, strict=True):
                torch.mm(part, source_part[columns], out=result_part[first : first + BLOCK])
    return result.reshape(*values.shape[:axis], n_out, *values.shape[axis + 1 :])


def _cubic_matrix(n_in: int, n_out: int) -> NDArray[np.float32]:
    """(n_out, n_in) matrix of a cubic spline along one axis: SciPy's result for each unit vector."""
    zoomed = ndimage.zoom(np.eye(n_in), (n_out / n_in, 1), order=3, mode="nearest", grid_mode=True)
    return np.asarray(zoomed, dtype=np.float32)
