"""Power of a study: how far a true gain must lie from 0 or from the margin so that the study shows it.

What is announced holds for gains that are normal over cases. It counts that the study will have to estimate all
variances itself, which makes power at five cases much lower than with known ones.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import chi2

from coordinator.statistics.intervals import FEWEST_TESTED, SMALLEST_STD, SeedStd, bound_distance

Floats = NDArray[np.float64]

POWER = 0.8
MOST_CASES = 100_000
_GRID = 16
"""Equally likely values that stand for a random quantity."""


@dataclass(frozen=True, slots=True)
class Design:
    """What the power of a comparison depends on.

    Attributes:
        std: standard deviation of the gain between cases.
        cases: number of held-out cases.
        confidence: of the interval that decides; higher than 95 % where there are several comparisons.
        seeds: the noise of seeds; None to leave it out.
    """

    std: float
    cases: int
    confidence: float
    seeds: SeedStd | None = None


def power(design: Design, distance: float) -> float:
    """The share of studies whose interval excludes a value from which the true gain is this far away."""
    cases = design.cases
    skewness, case_std = (values.ravel() for values in np.meshgrid(_skewnesses(cases), _relative_stds(cases - 1)))
    case_error, seed_error = max(design.std, SMALLEST_STD) / cases**0.5, 0.0
    seeds = None
    if design.seeds is not None and design.seeds.std:
        seed_error = design.seeds.std
        seeds = (seed_error * _relative_stds(design.seeds.freedom)[None, :], design.seeds.freedom)
    from_cases = (np.asarray(case_error * case_std[:, None]), cases - 1.0)
    widths = bound_distance((1 - design.confidence) / 2, from_cases, skewness[:, None], seeds)
    return float(ndtr((distance - widths) / np.hypot(case_error, seed_error)).mean())


def detectable_distance(design: Design) -> float | None:
    """How far a true gain must be from a value so that four of five studies exclude it; None for too few cases."""
    if design.cases < FEWEST_TESTED:
        return None
    low, high = 0.0, SMALLEST_STD
    while power(design, high) < POWER:
        high *= 2
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if power(design, middle) >= POWER else (middle, high)
    return high


def cases_needed(design: Design, distance: float) -> int | None:
    """The fewest held-out cases with which four of five studies exclude a value that far away.

    Args:
        design: of the study; its number of cases does not matter.
        distance: of the true gain from the value; positive.

    Returns:
        The number; None where no number of cases is enough, because of the noise of seeds.
    """
    if power(replace(design, cases=MOST_CASES), distance) < POWER:
        return None
    low, high = FEWEST_TESTED - 1, MOST_CASES
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(replace(design, cases=middle), distance) >= POWER else (middle, high)
    return high


@lru_cache(maxsize=256)
def _skewnesses(cases: int) -> Floats:
    """Equally likely values of what `intervals` takes for skewness, of normal gains."""
    spread = (6 * (cases - 2) / ((cases + 1) * (cases + 3))) ** 0.5
    return np.asarray(ndtri(_shares()) * spread / cases**0.5)


@lru_cache(maxsize=256)
def _relative_stds(freedom: float) -> Floats:
    """Equally likely values of an estimated standard deviation, relative to the true one."""
    if not np.isfinite(freedom):
        return np.ones(1)
    return np.asarray(np.sqrt(chi2.ppf(_shares(), freedom) / freedom))


def _shares() -> Floats:
    return (np.arange(_GRID) + 0.5) / _GRID
