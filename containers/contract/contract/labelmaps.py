"""Label maps in memory: from the numbers that a file holds to ids that are known to be right."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.errors import CaseError

LabelMap = NDArray[np.unsignedinteger[Any]]
"""(X, Y, Z) uint8, or uint16 where an id is above 255; 0 is background."""

ROUNDING = 1e-3
"""Labels stored as floats must lie this close to an integer."""


def to_label_map(path: Path, array: NDArray[np.generic], known: Collection[int] | None) -> LabelMap:
    """Turn the numbers of a file into a label map.

    Args:
        path: of the file, for messages.
        array: (X, Y, Z) integers or floats.
        known: ids that may occur beside 0; any when None.

    Raises:
        CaseError: values that are no integers, unknown ids (all are listed), ids outside 0..65535.
    """
    if np.issubdtype(array.dtype, np.floating):
        finite = np.isfinite(array)
        rounded = np.rint(array, where=finite, out=np.zeros(array.shape, np.float64))
        is_off = np.abs(array - rounded, where=finite, out=np.zeros(array.shape)) > ROUNDING
        wrong = int((~finite).sum() + is_off.sum())
        if wrong:
            raise CaseError(f"{path}: labels must be integers (within {ROUNDING:g}), but {wrong} voxels are not")
        array = rounded.astype(np.int64)
    if array.dtype == np.uint8 and known is None:
        return array.view(np.uint8)
    voxels = _count_ids(array)
    if known is not None:
        refuse_unknown_ids(path, voxels, known)
    outside = {i: n for i, n in voxels.items() if not 0 <= i <= np.iinfo(np.uint16).max}
    if outside:
        raise CaseError(
            f"{path}: label ids must lie in 0..65535, but these do not: {_list_ids(outside)}; repair the label"
        )
    return array.astype(np.uint8 if max(voxels, default=0) <= np.iinfo(np.uint8).max else np.uint16, copy=False)


def refuse_unknown_ids(path: Path, voxels: Mapping[int, int], known: Collection[int]) -> None:
    """Refuse a label map that holds ids beside 0 and those that are known.

    Args:
        path: of the label map.
        voxels: id -> how many voxels have it.
        known: ids that may occur beside 0.

    Raises:
        CaseError: unknown ids; all are listed.
    """
    unknown = {i: n for i, n in voxels.items() if n and i != 0 and i not in known}
    if unknown:
        raise CaseError(
            f"{path}: label ids must be in the dataset's table, but these are not: {_list_ids(unknown)}; "
            "name them in dataset.yaml, repair the label, or exclude the case under `exclude:`"
        )


def _list_ids(voxels: Mapping[int, int]) -> str:
    return ", ".join(f"{i} ({n} voxels)" for i, n in voxels.items())


def _count_ids(array: NDArray[np.generic]) -> dict[int, int]:
    """How often each value occurs, ascending; a count table where values are small, a sort elsewhere."""
    if array.dtype in (np.uint8, np.uint16):
        counts, lowest = _count_small_ids(array), 0
    else:
        lowest, highest = int(array.min()), int(array.max())
        if highest - lowest > np.iinfo(np.uint16).max:
            ids, voxels = np.unique(array, return_counts=True)
            return dict(zip(ids.tolist(), voxels.tolist(), strict=True))
        counts = np.bincount((array.astype(np.int64) - lowest).ravel())
    (present,) = np.nonzero(counts)
    return dict(zip((present + lowest).tolist(), counts[present].tolist(), strict=True))


def _count_small_ids(array: NDArray[np.generic]) -> NDArray[np.int64]:
    """How often each of 0, 1, ... occurs; background, most of the voxels, is passed over eight bytes at a time."""
    forward = array[tuple(slice(None, None, -1 if stride < 0 else 1) for stride in array.strides)]
    flat = forward.ravel(order="K")
    in_words = flat.size // (8 // flat.itemsize) * (8 // flat.itemsize)
    words = flat[:in_words].view(np.uint64)
    counts_in_words = np.bincount(words[words != 0].view(flat.dtype), minlength=1)
    counts = np.bincount(flat[in_words:], minlength=len(counts_in_words))
    counts[: len(counts_in_words)] += counts_in_words
    counts[0] = array.size - counts[1:].sum()
    return counts
