"""Errors in label maps, of given strengths or scaled to a target Dice.

    labels ──► draw_errors ──► Errors ──► apply_errors(errors, scale) ──► labels with errors
                                 └──► find_scale(errors, target Dice) ──► scale

Everything random is drawn before the scale is known. So a larger scale gives the same errors and more of them: the same
slices and others are missing, the same organs and others are missed, the same bulge is larger. Label versions of one
seed therefore form a quality axis.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from contract import LabelMap
from degrade_tool.applying import apply_errors
from degrade_tool.boundary import OrganNumbers
from degrade_tool.drawing import Errors, Random, Recipe, draw_errors

LARGEST_SCALE = 16.0
"""The search for a target goes no further."""
PRECISION = 5e-4
"""A Dice that is this near to the target meets it."""
SCALE_PRECISION = 1e-4
"""The search ends when it knows the scale this well."""
SEARCH_VOXELS = 4_000_000
"""Larger volumes are searched on every second, third … voxel in plane; the result is always made on all voxels."""


@dataclass(frozen=True, slots=True, eq=False)
class DegradedLabels:
    """A label map with errors.

    Attributes:
        labels: (X, Y, Z) ids, of the reference labels' type.
        dice: mean over the organs of the reference labels; None when they have none.
        scale: at which the errors were applied.
    """

    labels: LabelMap
    dice: float | None
    scale: float


def degrade(
    labels: LabelMap,
    spacing_mm: tuple[float, float, float],
    organs: Mapping[int, str],
    recipe: Recipe,
    random: Random,
    target_dice: float = 0.0,
) -> DegradedLabels:
    """Put errors into a label map.

    Args:
        labels: (X, Y, Z) ids; 0 is background. Without organs they are returned as they are.
        spacing_mm: of the voxels.
        organs: id -> name; names tell which organs form a left and right pair.
        recipe: strength of each kind of error.
        random: the same numbers for the same purpose, every time.
        target_dice: mean Dice to reach as nearly as possible by scaling the recipe; 0 leaves the recipe as it is.
    """
    ids = np.unique(labels[labels > 0])
    if not len(ids):
        return DegradedLabels(labels, None, 0.0)
    numbers = np.zeros(int(ids[-1]) + 1, labels.dtype)
    numbers[ids] = np.arange(1, len(ids) + 1)
    names = [organs[int(i)] for i in ids]
    largest_scale = LARGEST_SCALE if target_dice else 1.0
    errors = draw_errors(numbers[labels], spacing_mm, names, recipe, random, largest_scale)
    scale = find_scale(errors, target_dice) if target_dice else 1.0
    result = apply_errors(errors, scale)
    id_of_number = np.concatenate([np.zeros(1, labels.dtype), ids.astype(labels.dtype)])
    return DegradedLabels(id_of_number[result], mean_dice(errors.labels, result, len(ids)), scale)


def find_scale(errors: Errors, target_dice: float) -> float:
    """Search the scale at which the mean Dice is nearest to a target."""
    stride = _stride(errors)
    scale, sampled_dice = _search_scale(errors, target_dice, stride, guess=1.0)
    if stride > 1:
        # Dice on some of the voxels is nearly that on all; the difference hardly changes from one scale to a near one.
        difference = sampled_dice - _dice_at_scale(errors, scale, 1)
        scale, _ = _search_scale(errors, target_dice + difference, stride, guess=scale)
    return scale


def mean_dice(reference: OrganNumbers, result: OrganNumbers, organs: int) -> float:
    """Mean Dice over the organs that occur in the reference labels.

    Args:
        reference: organ numbers.
        result: organ numbers, the same shape.
        organs: how many numbers there are.
    """
    counts = np.bincount((reference.astype(np.int32) * (organs + 1) + result).ravel(), minlength=(organs + 1) ** 2)
    table = counts.reshape(organs + 1, organs + 1)[:, 1:]
    in_reference, in_result = counts.reshape(organs + 1, -1)[1:].sum(axis=1), table.sum(axis=0)
    in_both = np.diag(table[1:])
    present = in_reference > 0
    return float((2 * in_both[present] / (in_reference + in_result)[present]).mean())


def _stride(errors: Errors) -> int:
    """Distance between the voxels that the search uses: small enough for every organ to have one of them."""
    stride = max(1, round(math.sqrt(errors.labels.size / SEARCH_VOXELS)))
    organs = len(errors.missed_order)
    while stride > 1 and np.count_nonzero(np.bincount(errors.labels[::stride, ::stride].ravel())[1:]) < organs:
        stride -= 1
    return stride


def _search_scale(errors: Errors, target_dice: float, stride: int, guess: float) -> tuple[float, float]:
    """The scale whose Dice on every n-th voxel is nearest to a target, and that Dice; the smaller scale in a tie."""
    tried: dict[float, float] = {}

    def above_target(scale: float) -> float:
        tried[scale] = dice = _dice_at_scale(errors, scale, stride)
        return 0.0 if abs(dice - target_dice) < PRECISION else dice - target_dice

    low, high = 0.0, min(LARGEST_SCALE, 1.1 * guess)
    while above_target(high) > 0 and high < LARGEST_SCALE:
        low, high = high, min(LARGEST_SCALE, 2 * high)
    if above_target(low) > 0 > tried[high] - target_dice:
        brentq(above_target, low, high, xtol=SCALE_PRECISION)
    return min(tried.items(), key=lambda item: (abs(item[1] - target_dice), item[0]))


def _dice_at_scale(errors: Errors, scale: float, stride: int) -> float:
    reference = errors.labels[::stride, ::stride]
    return mean_dice(reference, apply_errors(errors, scale, stride), len(errors.missed_order))
