"""Finding the same scan twice, within a dataset and across datasets, by the values of its voxels.

Public datasets hold scans of each other, and some hold a scan twice: once more with another type of voxels, a spacing
of 1 mm, or turned. If one copy trains a network and the other tests it, the test is no test.

    HU ──► sums of each plane along each axis ──► the same for all turns and mirrors ──► digest
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

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


def group_equal(values: Mapping[str, str | None]) -> list[tuple[str, ...]]:
    """Groups of cases with equal values, such as digests; sorted, without cases that are alone or have none."""
    cases: dict[str, list[str]] = {}
    for case, value in sorted(values.items()):
        if value is not None:
            cases.setdefault(value, []).append(case)
    return sorted(tuple(same) for same in cases.values() if len(same) > 1)


def join_groups(groups: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    """Join groups that share a case; sorted."""
    joined: dict[str, set[str]] = {}
    for group in groups:
        together = set(group).union(*(joined[case] for case in group if case in joined))
        joined.update(dict.fromkeys(together, together))
    return sorted({id(together): tuple(sorted(together)) for together in joined.values()}.values())
