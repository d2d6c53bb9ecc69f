"""Whether the voxels of an image look like Hounsfield units, judged by what is not padding."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract.volumes import Volume

LOWEST_HU = -1100
"""Nothing is less dense than air, at -1000; noise and filters reach a little below."""
AIR_HU = -200
"""Every CT of a body has some air or lung below this value. If no voxel is below it, the HU offset is missing."""
BODY_HU, TISSUE_HU, BONE_HU = -500, (-200, 300), 800
"""From BODY_HU on a voxel is no air and no lung: most of these are tissue, few are dense bone."""
LEAST_TISSUE, MOST_BONE, MOST_BELOW_AIR = 0.15, 0.25, 0.02
"""Shares: of tissue and of dense bone in the body, and of voxels below LOWEST_HU that are no padding."""
LEAST_PADDING, NEIGHBOURS, MOST_PADDINGS = 0.001, 50, 3
"""Padding is one value below LOWEST_HU: this share of the voxels, and more than all of the values next to it."""
SAMPLE = 1_000_000
"""Voxels that are looked at, evenly spread."""


def describe_voxels(image: Volume, path: Path) -> list[str]:
    """Warnings about the voxels of an image; `path` is for messages."""
    warnings = []
    values = np.rint(sample_voxels(image.array))
    padding = find_padding(values)
    if reason := describe_unlike_hu(values[~np.isin(values, padding)]):
        besides = f" beside padding of {', '.join(f'{p:g}' for p in padding)}" if padding else ""
        warnings.append(f"not in HU: {reason}{besides}; subtract the missing offset (often 1024), or undo the factor")
    if image.header.get_data_dtype().itemsize == 1:
        warnings.append("stored with 8 bits: at most 256 grey values, so fine contrast is lost")
    if 1 in image.array.shape:
        warnings.append(f"{path.name} is a single slice: 3D tools may refuse it")
    return warnings


def sample_voxels(array: NDArray[np.generic]) -> NDArray[np.float64]:
    """(N,) some of the voxels of an (X, Y, Z) image, about `SAMPLE` from all of the volume."""
    # A step without a common divisor with usual widths, so that no column is left out.
    step = max(1, array.size // SAMPLE) | 1
    return array.reshape(-1)[::step].astype(np.float64)


def find_padding(values: NDArray[np.float64]) -> list[float]:
    """The values below any HU that fill what the scanner did not see; `values` are (N,) whole numbers."""
    distinct, counts = np.unique(values[values < LOWEST_HU], return_counts=True)
    padding: list[tuple[int, float]] = []
    for value, count in zip(distinct.tolist(), counts.tolist(), strict=True):
        is_near = np.abs(distinct - value) <= NEIGHBOURS
        if count >= LEAST_PADDING * values.size and count > counts[is_near].sum() - count:
            padding.append((count, value))
    return sorted(value for _, value in sorted(padding)[-MOST_PADDINGS:])


def describe_unlike_hu(values: NDArray[np.float64]) -> str:
    """Why these (N,) voxels without padding can't be HU of a body; empty where they can."""
    if not values.size:
        return ""
    span = f"voxels lie in {values.min():g} to {values.max():g}"
    if values.min() >= AIR_HU:
        return f"{span}, and no voxel is air (below {AIR_HU})"
    below = float(np.mean(values < LOWEST_HU))
    if below > MOST_BELOW_AIR:
        return f"{span}, and {below:.0%} are less dense than air (below {LOWEST_HU})"
    body = values[values > BODY_HU]
    if not body.size:
        return ""
    tissue = float(np.mean((body >= TISSUE_HU[0]) & (body <= TISSUE_HU[1])))
    bone = float(np.mean(body > BONE_HU))
    if tissue < LEAST_TISSUE or bone > MOST_BONE:
        limits = f"{TISSUE_HU[0]} to {TISSUE_HU[1]}"
        return f"{span}, and of the body {tissue:.0%} are tissue ({limits}), {bone:.0%} above {BONE_HU}"
    return ""
