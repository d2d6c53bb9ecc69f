"""What is done to HU by mistake, and which of it explains the voxels of an image.

voxels ──► undo a change ──► is air where air is in HU, and tissue where tissue is? ──► then that is what was done
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coordinator.datasets.hounsfield import BODY_HU, BONE_HU, describe_unlike_hu, find_padding

LUNG_HU = -700
"""Air and most of the lung lie below."""
LEAST_AIR, LEAST_BODY = 0.01, 0.05
"""Shares of voxels below `LUNG_HU` and above `BODY_HU` that an image must have before it is believed that undoing a
change gives HU: with air and tissue both in their places, two points of the scale are right."""
LEAST_DENSE, DENSER = 0.02, 4
"""Share of voxels above `BONE_HU`, and how many times those below `LUNG_HU` it must be, to be air that was negated; the
samples have up to 0.008, and 30 times as much air. Bone itself has twice as much between half of `BONE_HU` and it."""
MEDIAN_HU = (-150, 250)
"""Where the median of the body lies: fat is at -100, muscle and organs at 30 to 150; bone is never the greater part."""

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is done to HU by mistake: the kind of finding, in words, what to do, and how it is undone."""

    kind: str
    text: str
    advice: str
    undo: Callable[[Values], Values]


CHANGES = {
    "offset": Change(
        "hu-offset-missing", "1024 too high", "subtract 1024 from all voxels", lambda values: values - 1024
    ),
    "offset twice": Change("hu-offset-twice", "1024 too low", "add 1024 to all voxels", lambda values: values + 1024),
    "wrapped": Change(
        "hu-wrapped",
        "negative HU that were stored without a sign",
        "subtract 65536 from the voxels above 32767",
        lambda values: np.where(values > 32767, values - 65536, values),
    ),
    "ten times": Change("hu-scaled", "10 times as high", "divide all voxels by 10", lambda values: values / 10),
    "ten times, offset": Change(
        "hu-scaled",
        "10 times as high, and the offset of 1024 is missing",
        "divide all voxels by 10 and subtract 1024",
        lambda values: values / 10 - 1024,
    ),
    "a tenth": Change("hu-scaled", "a tenth as high", "multiply all voxels by 10", lambda values: values * 10),
    "inverted": Change("hu-inverted", "negated", "negate all voxels", lambda values: -values),
    "inverted, offset": Change(
        "hu-inverted",
        "negated, and 3071 too high",
        "subtract all voxels from 3071",
        lambda values: 3071 - values,
    ),
}
"""What undoes it is tried in this order; the first that gives HU is named."""
NEGATIONS = ("inverted", "inverted, offset")
"""What may look like HU at first sight."""


def find_change(values: Values, *, unlike_hu: bool) -> str:
    """The change that must be undone to have HU; empty where none of `CHANGES` explains the voxels.

    Args:
        values: (N,) whole numbers, of an even sample of an image.
        unlike_hu: whether they can't be HU; of those that can, only negated ones are told.
    """
    tried = CHANGES if unlike_hu else NEGATIONS if _look_negated(values) else ()
    return next((name for name in tried if _are_hu(np.rint(CHANGES[name].undo(values)))), "")


def _look_negated(values: Values) -> bool:
    """Whether more is denser than bone than in any CT, and far more than is air: air and lung that were negated."""
    dense = float(np.mean(values > BONE_HU))
    spongy = float(np.mean((values > BONE_HU / 2) & (values <= BONE_HU)))
    return dense > max(LEAST_DENSE, spongy / 2, DENSER * float(np.mean(values < LUNG_HU)))


def _are_hu(values: Values) -> bool:
    """Whether voxels are HU beyond doubt: air and tissue are in their places."""
    kept = values[~np.isin(values, find_padding(values))]
    body = kept[kept > BODY_HU]
    if not body.size or describe_unlike_hu(kept):
        return False
    has_both = np.mean(kept < LUNG_HU) >= LEAST_AIR and body.size >= LEAST_BODY * kept.size
    return bool(has_both and MEDIAN_HU[0] <= np.median(body) <= MEDIAN_HU[1])
