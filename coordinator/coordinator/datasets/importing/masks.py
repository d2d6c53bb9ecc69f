"""Binary masks of organs, merged into one label map; a voxel in several of them goes to the smaller organ."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract.errors import CaseError
from contract.grids import Grid
from contract.labelmaps import MOST_ID
from contract.volumes import view_labels

RULE = (
    "a voxel in several masks goes to the organ with the fewest voxels in that case, and of two with equally many to "
    "the one with the lower label id"
)


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """A label map of masks.

    Attributes:
        labels: (X, Y, Z) label ids, on the grid that was given.
        overlaps: (label id that got the voxels, label id that lost them) -> how many; of three masks in a voxel, each
            that lost it is counted.
        voxels: how many lie in more than one mask.
    """

    labels: NDArray[np.uint16]
    overlaps: dict[tuple[int, int], int]
    voxels: int


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """The voxels of an organ, within the smallest box that holds them all.

    Attributes:
        box: slices along X, Y and Z; empty where the organ has no voxel.
        inside: the box's voxels.
    """

    box: tuple[slice, ...]
    inside: NDArray[np.bool_]


def crop(values: NDArray[np.generic]) -> Mask:
    """The mask of what is not 0 in an (X, Y, Z) array, in whichever order it lies in memory."""
    box: list[slice] = []
    part = values
    for axis in reversed(range(values.ndim)):  # each axis shortens what the next one looks at
        (found,) = np.nonzero(part.any(axis=tuple({*range(values.ndim)} - {axis})))
        box.insert(0, slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 0))
        part = np.moveaxis(np.moveaxis(part, axis, 0)[box[0]], 0, axis)
    return Mask(tuple(box), part != 0)


def merge_masks(masks: Iterable[tuple[int, Path]], grid: Grid) -> Merged:
    """Merge the masks of files, by `RULE`.

    Args:
        masks: label id and file of each; the result does not depend on their order.
        grid: RAS+ grid of the image.

    Raises:
        CaseError: a mask can't be read, lies on another grid, or holds more than one value beside 0.
    """
    return merge({label: partial(_read_mask, path, grid) for label, path in dict(masks).items()}, grid.shape)


def merge(masks: Mapping[int, Callable[[], Mask]], shape: tuple[int, int, int]) -> Merged:
    """Merge masks, by `RULE`; only one of them is in memory at a time.

    Args:
        masks: label id -> what makes the mask; called again where the organ lost voxels.
        shape: of the image.
    """
    labels = np.zeros(shape, np.uint16)
    in_several: NDArray[np.bool_] | None = None
    sizes: dict[int, int] = {}
    losers: set[int] = set()
    for label, make_mask in sorted(masks.items()):
        mask = make_mask()
        in_box = labels[mask.box]
        owners = in_box[mask.inside]
        sizes[label] = len(owners)
        present = present_ids(owners)
        larger = [i for i in present if sizes[i] > sizes[label]]
        in_box[mask.inside] = np.where((owners == 0) | np.isin(owners, larger), label, owners)
        if present:
            in_several = np.zeros(shape, np.bool_) if in_several is None else in_several
            in_several[mask.box][mask.inside] |= owners > 0
            losers |= {*larger, *([label] if len(larger) < len(present) else [])}
    if in_several is None:
        return Merged(labels, {}, 0)
    lost = {label: masks[label] for label in sorted(losers)}
    return Merged(labels, _count_overlaps(lost, labels, in_several), int(np.count_nonzero(in_several)))


def present_ids(labels: NDArray[np.generic]) -> list[int]:
    """The ids that occur in a label map beside 0, sorted; it is never sorted or widened as a whole."""
    is_present = np.zeros(MOST_ID + 1, np.bool_)
    for part in np.atleast_1d(labels):
        is_present[part] = True
    is_present[0] = False
    return [int(i) for i in np.flatnonzero(is_present)]


def _count_overlaps(
    masks: Mapping[int, Callable[[], Mask]], labels: NDArray[np.uint16], in_several: NDArray[np.bool_]
) -> dict[tuple[int, int], int]:
    """Who got the voxels of whom: masks that lost some are made once more, since the last owner is known only now."""
    overlaps: dict[tuple[int, int], int] = {}
    for label, make_mask in masks.items():
        mask = make_mask()
        owners = labels[mask.box][mask.inside & in_several[mask.box]]
        ids, counts = np.unique(owners[owners != label], return_counts=True)
        overlaps |= {(int(i), label): int(n) for i, n in zip(ids, counts, strict=True)}
    return dict(sorted(overlaps.items()))


def _read_mask(path: Path, grid: Grid) -> Mask:
    values = view_labels(path, grid)
    mask = crop(values)
    present = present_ids(values[mask.box])
    if len(present) > 1:
        raise CaseError(
            f"{path}: a mask must hold 0 and one other value, but holds {present[:8]}; "
            "it is a label map, or was resampled"
        )
    return mask
