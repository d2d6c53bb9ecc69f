"""Finding the same scan twice, within a dataset and across datasets, by the values of its voxels.

Public datasets hold scans of each other, and some hold a scan twice: once more with another type of voxels, a spacing
of 1 mm, or turned. If one copy trains a network and the other tests it, the test is no test.

    HU ──► sums of each plane along each axis ──► the same for all turns and mirrors ──► digest
"""

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

SLAB = 4
"""Planes that are summed at a time, so that they stay in the processor's cache."""


def values_digest(array: NDArray[np.generic]) -> str:
    """Digest of an image's values: the same whatever their type, their spacing, and the order of the axes.

    Args:
        array: (X, Y, Z) voxels in HU, finite.

    Returns:
        sha256, hex, of the sums of whole HU over each plane of the three axes. Two scans with the same sums in each
        plane of each axis are one scan, as far as real images go.
    """
    sums = [np.zeros(length) for length in array.shape]  # float64 is exact for whole numbers below 2 ** 53
    for start in range(0, array.shape[0], SLAB):
        slab = np.rint(array[start : start + SLAB], dtype=np.float64)
        rows = slab.sum(axis=2)
        sums[0][start : start + SLAB] = rows.sum(axis=1)
        sums[1] += rows.sum(axis=0)
        sums[2] += slab.sum(axis=(0, 1))
    profiles = [[int(value) for value in profile] for profile in sums]
    return hashlib.sha256(repr(sorted(min(p, p[::-1]) for p in profiles)).encode()).hexdigest()


def group_twins(digests: Mapping[str, str | None]) -> list[tuple[str, ...]]:
    """Groups of cases that are one scan: case -> digest; sorted, without cases that are alone."""
    cases: dict[str, list[str]] = {}
    for case, digest in sorted(digests.items()):
        if digest is not None:
            cases.setdefault(digest, []).append(case)
    return sorted(tuple(same) for same in cases.values() if len(same) > 1)
