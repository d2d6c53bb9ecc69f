"""Smooth random fields: cubic B-splines over a grid of control points, as in free-form deformation.

Rueckert et al. Nonrigid registration using free-form deformations. IEEE Transactions on Medical Imaging 1999.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]
Floats = NDArray[np.float32]

REPEATED_POINTS = 16
"""Control points along each axis of a field that is the same for volumes of any size; it repeats after them."""


@dataclass(frozen=True, slots=True, eq=False)
class SmoothField:
    """A Gaussian random field of mean 0 and variance 1 at every voxel.

    Attributes:
        control: (I, J, K) independent normal numbers, one a control point; beyond them, the field repeats.
        step_voxels: distance between control points along each axis, in voxels.
        origin: voxel of the first control point.
    """

    control: Floats
    step_voxels: tuple[float, float, float]
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def values_at(self, x: Indices, y: Indices, z: Indices) -> Floats:
        """Values on the lattice of the given voxel indices, (len(x), len(y), len(z))."""
        i, j, k = (
            _weights(indices - origin, step, count)
            for indices, origin, step, count in zip(
                (x, y, z), self.origin, self.step_voxels, self.control.shape, strict=True
            )
        )
        along_x = np.tensordot(i, self.control, axes=(1, 0))
        return np.asarray((j @ along_x) @ k.T, dtype=np.float32)


def draw_field(
    random: np.random.Generator,
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    smoothness_mm: float,
    origin: tuple[float, float, float] | None = None,
) -> SmoothField:
    """Draw a field over a volume.

    Args:
        random: source of the control points.
        shape: (X, Y, Z) voxels.
        spacing_mm: of the voxels.
        smoothness_mm: distance between control points; values further apart than about that are independent.
        origin: voxel from which the field is laid out. Around it, the same random numbers give the same field in mm,
            whatever the shape and the spacing; None where one volume is all that counts.
    """
    a, b, c = (smoothness_mm / spacing for spacing in spacing_mm)
    if origin is not None:
        control = random.standard_normal([REPEATED_POINTS] * 3, dtype=np.float32)
        return SmoothField(control, (a, b, c), origin)
    counts = [int((n - 1) / step) + 4 for n, step in zip(shape, (a, b, c), strict=True)]
    return SmoothField(random.standard_normal(counts, dtype=np.float32), (a, b, c))


def _weights(indices: NDArray[np.float64], step: float, count: int) -> Floats:
    """(len(indices), count) B-spline weights; rows have length 1, so the variance is 1 everywhere."""
    position = indices / step
    first = np.floor(position).astype(np.intp)
    u = position - first
    spline = np.stack([(1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3], axis=1)
    weights = np.zeros((len(indices), count), np.float32)
    points = (first[:, None] + np.arange(4)) % count
    np.put_along_axis(weights, points, spline / np.linalg.norm(spline, axis=1)[:, None], axis=1)
    return weights
