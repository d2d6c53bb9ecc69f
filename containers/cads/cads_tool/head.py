"""Where structures of head and neck may lie: around a brain, or above the neck's lowest vertebra.

Networks 557 and 558 were trained on heads; in a volume without one they would find structures that are not there.
"""

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from cads_tool.parts import BRAIN, HEAD, NECK, NEEDS, VERTEBRAE
from contract import LabelMap

FEWEST_VOXELS = 2000
"""Of brain, 6.75 ml; with fewer there is no head."""
REACH = {HEAD: (100, 100, 133), NECK: (100, 100, 200)}
"""Voxels of 1.5 mm from the brain's centre to each side, along x, y and z."""
UPPER_VERTEBRAE = tuple(f"vertebrae_{name}" for name in ("T4", "T3", "T2", "T1", *(f"C{i}" for i in range(7, 0, -1))))
"""From the lowest up; upstream counts these as the neck."""

Box = tuple[slice, ...]
EVERYWHERE: Box = (slice(None),) * 3


def find_region(number: int, found: Mapping[int, LabelMap], labels: Mapping[str, int]) -> Box | None:
    """The box in which a network's structures may lie.

    Args:
        number: of the network.
        found: number of an earlier network -> its (X, Y, Z) label map at 1.5 mm in the tool's ids.
        labels: structure -> the tool's label id.

    Returns:
        The box in voxels; None where the volume holds nothing of the network's region.
    """
    if number not in NEEDS:
        return EVERYWHERE
    brain = found[BRAIN] == labels["brain"]
    if np.count_nonzero(brain) >= FEWEST_VOXELS:
        return _around(brain.shape, ndimage.center_of_mass(brain), REACH[number])
    if number == HEAD:
        return None
    neck = np.isin(found[VERTEBRAE], [labels[name] for name in UPPER_VERTEBRAE])
    heights = np.flatnonzero(neck.any(axis=(0, 1)))
    return (slice(None), slice(None), slice(int(heights[0]), None)) if heights.size else None


def _around(shape: tuple[int, ...], centre: tuple[float, ...], reach: tuple[int, int, int]) -> Box:
    return tuple(slice(max(int(c) - r, 0), min(int(c) + r, n)) for n, c, r in zip(shape, centre, reach, strict=True))
