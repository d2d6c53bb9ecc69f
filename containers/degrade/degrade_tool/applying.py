"""Apply the errors of a case at one scale: boundaries, deformation and shifted slices, missing parts, swaps."""

import numpy as np
from numpy.typing import NDArray

from degrade_tool.boundary import OrganNumbers
from degrade_tool.drawing import Errors
from degrade_tool.fields import Indices

SLAB_SLICES = 16
"""Slices that are worked on at once; bounds the memory."""
MOST_MISSING = 0.5
"""Largest share of an organ's slices that go missing at any scale."""


def apply_errors(errors: Errors, scale: float, stride: int = 1) -> OrganNumbers:
    """Put the errors of a scale into the organ numbers.

    Args:
        errors: of the case.
        scale: 0 for none, 1 for the recipe's strengths.
        stride: only every n-th voxel in x and y is made.

    Returns:
        (ceil(X / stride), ceil(Y / stride), Z) organ numbers.
    """
    x, y = (np.arange(0, n, stride) for n in errors.labels.shape[:2])
    slices = errors.labels.shape[2]
    slabs = [
        errors.boundary.labels_at(scale, _source_indices(errors, scale, x, y, z))
        for z in np.split(np.arange(slices), range(SLAB_SLICES, slices, SLAB_SLICES))
    ]
    result = _cut_missed_organ(errors, scale, np.concatenate(slabs, axis=2), x, y)
    return _slice_tables(errors, scale)[np.arange(slices), result]


def _source_indices(errors: Errors, scale: float, x: Indices, y: Indices, z: Indices) -> Indices:
    """Flat index of the voxel that each lattice voxel takes its label from; beyond the volume, its border."""
    flat = np.zeros((len(x), len(y), len(z)), np.intp)
    for axis, (indices, size) in enumerate(zip((x, y, z), errors.labels.shape, strict=True)):
        shape = [1, 1, 1]
        shape[axis] = len(indices)
        position = indices.reshape(shape).astype(np.float32)
        if errors.deformation:
            strength = np.float32(scale * errors.recipe.deformation_mm / errors.spacing_mm[axis])
            position = position + strength * errors.deformation[axis].values_at(x, y, z)
        if axis < 2:
            position = position + (scale * errors.slice_shift_mm[z, axis] / errors.spacing_mm[axis]).astype(np.float32)
        flat = flat * size + np.clip(np.rint(position), 0, size - 1).astype(np.intp)
    return flat


def _missed_shares(errors: Errors, scale: float) -> NDArray[np.float64]:
    """Share of each organ that is missed: 1 for the first ones in their order, a part for the next, then 0."""
    organs = len(errors.missed_order)
    shares = np.zeros(organs + 1)
    shares[list(errors.missed_order)] = np.clip(scale * errors.recipe.missed_organs * organs - np.arange(organs), 0, 1)
    return shares


def _cut_missed_organ(errors: Errors, scale: float, labels: OrganNumbers, x: Indices, y: Indices) -> OrganNumbers:
    """Cut the organ that is missed in part at a plane; `labels` is changed in place."""
    for number in np.flatnonzero((shares := _missed_shares(errors, scale)) % 1):
        direction = errors.cut_directions[number - 1] * errors.spacing_mm
        box = errors.boxes[number - 1]
        voxels = np.argwhere(errors.labels[box] == number) + [side.start for side in box]
        threshold = np.quantile(voxels @ direction, shares[number])
        i, j, k = np.unravel_index(np.flatnonzero(labels == number), labels.shape)
        behind = x[i] * direction[0] + y[j] * direction[1] + k * direction[2] <= threshold
        labels[i[behind], j[behind], k[behind]] = 0
    return labels


def _slice_tables(errors: Errors, scale: float) -> OrganNumbers:
    """(Z, organs + 1) number that each number becomes in each slice: 0 where the slice or the organ is missing."""
    tables = np.tile(errors.swap_table, (errors.labels.shape[2], 1))
    tables[:, _missed_shares(errors, scale) == 1] = 0
    share = min(MOST_MISSING, scale * errors.recipe.missing_slices)
    for number, order in enumerate(errors.slice_orders, start=1):
        tables[order[: int(share * len(order))], number] = 0
    return tables
