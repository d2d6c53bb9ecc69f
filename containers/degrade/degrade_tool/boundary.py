"""Erosion and dilation as a growing error: each voxel has one scale from which on it is wrong.

An eroded organ loses voxels to the background; a dilated one takes background, never another organ's voxels. Where two
organs grow into the same voxel, it goes to the one that reaches it at the smaller scale; in a tie, to the lower id.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.special import ndtr

from degrade_tool.fields import Floats, Indices, SmoothField

OrganNumbers = NDArray[np.unsignedinteger]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True, eq=False)
class Boundary:
    """When each voxel turns wrong.

    Attributes:
        labels: (X, Y, Z) reference.
        scale: (X, Y, Z) at which a voxel changes; infinite where it never does.
        becomes: (X, Y, Z) what it changes to.
    """

    labels: OrganNumbers
    scale: Floats
    becomes: OrganNumbers

    def labels_at(self, scale: float, voxels: Indices) -> OrganNumbers:
        """Labels at a scale of the voxels with the given flat indices; the result has the shape of `voxels`."""
        changed = np.take(self.scale, voxels) <= scale
        return np.where(changed, np.take(self.becomes, voxels), np.take(self.labels, voxels))


@dataclass(frozen=True, slots=True)
class Shift:
    """How far the boundary of one organ moves at scale 1.

    Attributes:
        organ: its number in the label map.
        mm: mean shift; below 0 inwards.
    """

    organ: int
    mm: float


def boundary_errors(
    labels: OrganNumbers,
    spacing_mm: tuple[float, float, float],
    boxes: tuple[Box, ...],
    shifts: list[Shift],
    field: SmoothField,
    largest_scale: float,
) -> Boundary:
    """Work out at which scale each voxel turns wrong.

    The shift varies along the surface between 0 and twice its mean. Organs count as going on beyond the
    volume's border, so nothing is eroded from there.

    Args:
        labels: (X, Y, Z) organs numbered from 1.
        spacing_mm: of the voxels.
        boxes: bounding box of each organ.
        shifts: one for each organ whose boundary moves, in order of their numbers.
        field: unit variance; says where the boundary moves more than its mean.
        largest_scale: at which the errors will be applied.
    """
    errors = Boundary(labels, np.full(labels.shape, np.inf, np.float32), np.zeros_like(labels))
    for shift in shifts:
        reach_mm = max(0.0, 2 * shift.mm * largest_scale)
        box = _enlarge_box(boxes[shift.organ - 1], labels.shape, [1 + math.ceil(reach_mm / s) for s in spacing_mm])
        inside = labels[box] == shift.organ
        changing = inside if shift.mm < 0 else labels[box] == 0
        if inside.all() or not changing.any():
            continue
        scale = _scale_of_change(
            changing, inside if shift.mm < 0 else ~inside, spacing_mm, abs(shift.mm), _values_in_box(field, box)
        )
        is_first = changing & (scale < errors.scale[box])
        errors.scale[box][is_first] = scale[is_first]
        errors.becomes[box][is_first] = 0 if shift.mm < 0 else shift.organ
    return errors


def _scale_of_change(
    changing: NDArray[np.bool_],
    side: NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
    shift_mm: float,
    field: Floats,
) -> Floats:
    """Distance from the surface over local shift. The surface lies half a voxel before the nearest centre beyond it."""
    distance_mm = distance_transform_edt(side, sampling=spacing_mm).astype(np.float32) - min(spacing_mm) / 2
    local_mm = 2 * shift_mm * ndtr(field)
    scale = np.full(field.shape, np.inf, np.float32)
    np.divide(distance_mm, local_mm, out=scale, where=changing & (local_mm > 0))
    return scale


def _values_in_box(field: SmoothField, box: Box) -> Floats:
    x, y, z = (np.arange(side.start, side.stop) for side in box)
    return field.values_at(x, y, z)


def _enlarge_box(box: Box, shape: tuple[int, ...], margin: list[int]) -> Box:
    x, y, z = (
        slice(max(0, side.start - m), min(n, side.stop + m)) for side, n, m in zip(box, shape, margin, strict=True)
    )
    return x, y, z
