"""Finding the same scan again after it was cropped, rescaled or clipped, by digests of its planes.

A copy in another public dataset often lacks slices at its ends, has other numbers for the same densities (an offset of
1024, a factor), or has its padding clipped. Each plane is therefore digested alone, in a way that these don't change:

    plane ──► voxels on a lattice ──► sorted ──► the band of tissue ──► from its lowest, by its greatest divisor ──► key
    keys of all planes of the three axes ──► the lowest of each axis ──► print
    prints ──► index of keys ──► pairs with keys in common

What a print survives: slices cut from the ends of one axis, turns, mirrors and other orders of the axes, any header,
type or compression, HU times a whole number plus a whole number, and clipping below or above the band. What it does
not survive: resampling, filters, another reconstruction, cropping along two axes, rounding to fewer grey values,
negated HU. Two scans of one patient are two scans.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

LATTICE = 32
"""A plane is read on two lattices that mirror each other, each of at least so many lines along an axis of the plane."""
BAND = (0.70, 0.95)
"""Ranks of the voxels that count. Below it is air and padding, above it is dense bone and metal, which get clipped."""
LEAST_VALUES = 16
"""Distinct values in the band; a plane with fewer, such as one of padding, says nothing."""
KEPT = 16
"""Keys of each axis. Always the lowest, so that two copies with other slices keep the same ones."""
SHARED = 3
"""Keys that two scans must share to be one scan."""
MOST_HOLDERS = 100
"""Scans that share a key and are compared with all others that hold it; so a common key costs little, too."""
KEY_BYTES = 6
FURTHEST = 2**40
"""Values beyond are taken as this far, so that they can be subtracted; no scan has them."""


def scan_print(array: NDArray[np.generic]) -> tuple[str, ...]:
    """Keys of an image's planes that stay the same in a copy.

    Args:
        array: (X, Y, Z) voxels in HU or other units, finite; they are rounded to whole numbers.

    Returns:
        At most 3 times `KEPT` keys, hex, sorted. Empty for an image without texture.
    """
    keys: set[str] = set()
    for axis in range(array.ndim):
        found = {key for plane in _sample_planes(array, axis) if (key := _plane_key(plane))}
        keys.update(sorted(found)[:KEPT])
    return tuple(sorted(keys))


def match_prints(prints: Mapping[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    """Pairs of cases that are one scan, sorted; of cases with equal prints only each with the first.

    Args:
        prints: case -> keys of `scan_print`.
    """
    same: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for case, keys in sorted(prints.items()):
        same[keys].append(case)
    pairs = [(cases[0], case) for keys, cases in same.items() if len(keys) >= SHARED for case in cases[1:]]
    shared: Counter[tuple[str, str]] = Counter()
    for holders in _list_holders({cases[0]: keys for keys, cases in same.items()}).values():
        for index, case in enumerate(holders[:MOST_HOLDERS]):
            shared.update((case, other) for other in holders[index + 1 :])
    return sorted(pairs + [pair for pair, count in shared.items() if count >= SHARED])


def find_in_others(prints: Mapping[str, tuple[str, ...]], others: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Cases whose scan is among others -> the one that shares most keys, of several the first by name."""
    holders = _list_holders(others)
    matches = {}
    for case, keys in prints.items():
        shared = Counter(other for key in keys for other in holders.get(key, ())[:MOST_HOLDERS])
        if enough := [(-count, other) for other, count in shared.items() if count >= SHARED]:
            matches[case] = min(enough)[1]
    return matches


def _list_holders(prints: Mapping[str, tuple[str, ...]]) -> Mapping[str, Sequence[str]]:
    """Key -> the cases that hold it, sorted."""
    holders: dict[str, list[str]] = defaultdict(list)
    for case, keys in sorted(prints.items()):
        for key in keys:
            holders[key].append(case)
    return holders


def _sample_planes(array: NDArray[np.generic], axis: int) -> Iterator[NDArray[np.generic]]:
    """The voxels of each plane across an axis, on the lattice."""
    others = [i for i in range(array.ndim) if i != axis]
    lines = [slice(None) if i == axis else _mirrored_lattice(length) for i, length in enumerate(array.shape)]
    first, second = others
    # Lines are chosen along one axis after the other, the slowest first: numpy copies these fastest.
    sampled = array[tuple(lines[i] if i == first else slice(None) for i in range(array.ndim))]
    sampled = sampled[tuple(lines[i] if i == second else slice(None) for i in range(array.ndim))]
    planes = np.moveaxis(sampled, axis, 0)
    yield from np.sort(_whole_numbers(planes.reshape(len(planes), -1)), axis=1)


def _mirrored_lattice(length: int) -> NDArray[np.intp]:
    """Indices along an axis, the same ones from both ends."""
    lines = np.arange(0, length, max(1, length // LATTICE))
    return np.union1d(lines, length - 1 - lines)


def _whole_numbers(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """As they are where they are whole numbers, else rounded, in int64."""
    if np.issubdtype(values.dtype, np.integer):
        return values
    return np.rint(values.astype(np.float64)).clip(-FURTHEST, FURTHEST).astype(np.int64)


def _plane_key(plane: NDArray[np.generic]) -> str:
    """Digest of the sorted voxels of a plane; empty where they hold too few values."""
    low, high = (round(rank * plane.size) for rank in BAND)
    band = plane[low:high].astype(np.int64)
    steps = np.diff(band)
    if np.count_nonzero(steps) + 1 < LEAST_VALUES:
        return ""
    values = (band - band[0]) // np.gcd.reduce(steps)
    return hashlib.blake2b(values.astype("<i8").tobytes(), digest_size=KEY_BYTES).hexdigest()
