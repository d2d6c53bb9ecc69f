"""Label maps in memory: from the numbers that a file holds to ids that are known to be right."""

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.errors import CaseError

LabelMap = NDArray[np.unsignedinteger[Any]]
"""(X, Y, Z) uint8, or uint16 where an id is above 255; 0 is background."""

MOST_ID = 65535
MOST_LISTED = 20
"""Ids that a message lists; a map of noise has millions."""
ROUNDING = 1e-3
"""Labels stored as floats must lie this close to an integer."""


class LabelCollector:
    """Turns the numbers of a file into label ids, block by block; what is wrong is counted, and told at the end."""

    def __init__(self, path: Path, size: int) -> None:
        """Begin a label map of so many voxels; `path` is for messages."""
        self._path = path
        self._ids: NDArray[np.uint16] = np.empty(size, np.uint16)
        self._position = self._not_integers = 0
        self._counts = np.zeros(MOST_ID + 1, np.int64)
        self._outside: Counter[int] = Counter()

    def add(self, block: NDArray[Any]) -> None:
        """Take the next voxels, (n,) integers or floats."""
        if np.issubdtype(block.dtype, np.floating):
            block, is_wrong = _round_labels(block)
            self._not_integers += is_wrong
        ids = self._ids[self._position : self._position + len(block)]
        self._position += len(block)
        lies_within = (block >= 0) & (block <= MOST_ID)
        if lies_within.all():
            ids[:] = block
        else:
            ids[:] = np.where(lies_within, block, 0)
            self._count_outside(block[~lies_within])
        counts = _count_small_ids(ids)
        counts[0] -= np.count_nonzero(~lies_within)
        self._counts[: len(counts)] += counts

    def finish(self, known: Collection[int] | None) -> LabelMap:
        """The (N,) label map.

        Args:
            known: ids that may occur beside 0; any when None.

        Raises:
            CaseError: values that are no integers, unknown ids, ids outside 0..65535.
        """
        wrong = self._not_integers
        if wrong:
            raise CaseError(f"{self._path}: labels must be integers (within {ROUNDING:g}), but {wrong} voxels are not")
        (present,) = np.nonzero(self._counts)
        voxels = dict(zip(present.tolist(), self._counts[present].tolist(), strict=True))
        if known is not None:
            refuse_unknown_ids(self._path, {**self._outside, **voxels}, known)
        if self._outside:
            raise CaseError(
                f"{self._path}: label ids must lie in 0..{MOST_ID}, but these do not: {_list_ids(self._outside)}; "
                "repair the label"
            )
        return self._ids.astype(np.uint8) if max(voxels, default=0) <= np.iinfo(np.uint8).max else self._ids

    def _count_outside(self, values: NDArray[np.generic]) -> None:
        """Count values that are no ids; of noise only the first are told apart."""
        for value, voxels in zip(*(a.tolist() for a in np.unique(values, return_counts=True)), strict=True):
            if (number := int(value)) in self._outside or len(self._outside) < MOST_LISTED:
                self._outside[number] += voxels


def small_label_map(path: Path, array: NDArray[np.generic], known: Collection[int] | None) -> LabelMap:
    """A label map that a file holds as uint8 or uint16: nothing is converted but uint16 that fits into uint8.

    Args:
        path: of the file, for messages.
        array: (N,) uint8 or uint16.
        known: ids that may occur beside 0; any when None.

    Raises:
        CaseError: unknown ids; all are listed.
    """
    if array.dtype == np.uint8 and known is None:
        return array.view(np.uint8)
    counts = _count_small_ids(array)
    (present,) = np.nonzero(counts)
    if known is not None:
        refuse_unknown_ids(path, dict(zip(present.tolist(), counts[present].tolist(), strict=True)), known)
    return array.astype(np.uint8 if present.max(initial=0) <= np.iinfo(np.uint8).max else np.uint16, copy=False)


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
    listed = [f"{i:.15g} ({n} voxels)" for i, n in sorted(voxels.items())[:MOST_LISTED]]
    return ", ".join(listed) + (" and more" if len(voxels) >= MOST_LISTED else "")


def _round_labels(values: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """The nearest integers, and how many values are none; those become 0."""
    with np.errstate(all="ignore"):
        rounded = np.rint(values)
        is_off = ~(np.abs(values - rounded) <= ROUNDING)  # also where it is NaN or infinite
    rounded[is_off] = 0
    return rounded, int(np.count_nonzero(is_off))


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
