"""Several label maps of one image become one.

Organs are judged one by one, by the maps whose source has the organ at all: a generator without a rectum does not vote
on the rectum. The organ of a voxel is the one with the largest share or probability, where that is above one half;
of equals, the one with the lowest id. So with two maps a voxel needs both.
"""

from collections.abc import Callable, Collection, Sequence

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from contract import LabelMap

SLAB = 32
"""Planes that are voted on at a time, so that shares of a large volume need not lie in memory together."""

Masks = Sequence[NDArray[np.bool_]]
Judge = Callable[[Masks], NDArray[np.floating]]


def vote(maps: Sequence[LabelMap], known: Sequence[Collection[int]], ids: Collection[int]) -> LabelMap:
    """Majority vote.

    Args:
        maps: (X, Y, Z) label maps of one image.
        known: for each, the ids that its source can give.
        ids: of the organs.

    Returns:
        (X, Y, Z) label map.
    """
    slabs = [slice(start, start + SLAB) for start in range(0, maps[0].shape[2], SLAB)]
    parts = [_combine([labels[:, :, slab] for labels in maps], known, ids, _share) for slab in slabs]
    return np.concatenate(parts, axis=2)


def staple(maps: Sequence[LabelMap], known: Sequence[Collection[int]], ids: Collection[int]) -> LabelMap:
    """STAPLE, as SimpleITK has it, on the whole volume; arguments and result are those of `vote`."""
    return _combine(maps, known, ids, _estimate)


def _combine(
    maps: Sequence[LabelMap], known: Sequence[Collection[int]], ids: Collection[int], judge: Judge
) -> LabelMap:
    best = np.full(maps[0].shape, 0.5, np.float32)
    combined = np.zeros(maps[0].shape, np.uint16 if max(ids) > np.iinfo(np.uint8).max else np.uint8)
    for label in sorted(ids):
        masks = [labels == label for labels, has in zip(maps, known, strict=True) if label in has]
        if not any(mask.any() for mask in masks):
            continue
        belief = judge(masks).astype(np.float32)
        wins = belief > best
        best[wins], combined[wins] = belief[wins], label
    return combined


def _share(masks: Masks) -> NDArray[np.floating]:
    """The share of the masks that mark each voxel; equal fractions are equal numbers."""
    votes: NDArray[np.floating] = np.sum(masks, axis=0, dtype=np.float32) / np.float32(len(masks))
    return votes


def _estimate(masks: Masks) -> NDArray[np.floating]:
    """The probability of each voxel by STAPLE; a single mask is its own estimate."""
    if len(masks) == 1:
        return masks[0].astype(np.float32)
    images = [sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in masks]
    probabilities: NDArray[np.floating] = sitk.GetArrayFromImage(sitk.STAPLE(images, 1.0))
    return probabilities
