"""Intervals and p-values of a mean gain that are right for few cases, ties and skewed differences too.

Cases and seeds each make an error. The bound of the cases' error is the wider one of Student's and Hall's (1992), which
is shifted by the skewness of the gains: Student's alone misses too often on the side of the long tail, and Hall's alone
with few cases. The error of seeds is added in squares: with Satterthwaite's degrees of freedom where there are enough
seeds for these, else as distances (MOVER; Zou & Donner 2008).

Bounds are finite for any gains, ties included. `tests/benchmarks/calibration.py` measures how often they hold.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Floats = NDArray[np.float64]

FEWEST_TESTED = 3
"""With fewer cases, no test concludes anything."""
SMALLEST_STD = 5e-4
"""Of a gain between cases; a smaller one is taken as this: half of the last digit of Dice points that are printed."""
FEWEST_JOINED = 3.0
"""With fewer degrees of freedom of seeds, Satterthwaite's approximation is too narrow."""
FREEDOM_SHARE = 0.85
"""Of the seeds' degrees of freedom that counts in Satterthwaite's approximation; with all, it is too narrow."""
LOWEST_LOG10_P = -30.0
"""Decimal logarithm of the smallest p-value."""


class CaseGains(Protocol):
    """What this module needs of a gain; `gains.Gain` is one."""

    @property
    def by_case(self) -> Floats:
        """(cases,) gains."""

    @property
    def freedom(self) -> float:
        """Degrees of freedom of their variance."""


class SeedStd(Protocol):
    """What this module needs of the noise of seeds; `seednoise.SeedError` is one."""

    @property
    def std(self) -> float:
        """Standard deviation of the gain over seeds."""

    @property
    def freedom(self) -> float:
        """Its degrees of freedom."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Ends of an interval."""

    low: float
    high: float


Bound = Callable[[float], float]
"""Tail probability -> distance of the bound from the mean, never negative; it falls as the probability rises."""


def interval(gain: CaseGains, seeds: SeedStd | None = None, confidence: float = 0.95) -> Interval | None:
    """Interval of a mean gain; None for fewer than two cases.

    Args:
        gain: gains by case.
        seeds: the noise of seeds; without it, the interval holds for these two networks only.
        confidence: share of intervals that hold the true gain.
    """
    if len(gain.by_case) < 2:
        return None
    tail, mean = (1 - confidence) / 2, float(gain.by_case.mean())
    below, above = _bounds(gain, seeds)
    return Interval(mean - below(tail), mean + above(tail))


def p_greater(gain: CaseGains, than: float, seeds: SeedStd | None = None) -> float:
    """One-sided p-value for "the mean gain is greater than `than`".

    It is the tail probability at which the interval begins at `than`, so that p <= alpha / 2 exactly where the interval
    of confidence 1 - alpha lies above `than`. It is 1 where the mean is not greater, and for fewer than three cases.
    """
    return _p_value(gain, seeds, float(gain.by_case.mean()) - than, side=0)


def p_less(gain: CaseGains, than: float, seeds: SeedStd | None = None) -> float:
    """One-sided p-value for "the mean gain is less than `than`"; see `p_greater`."""
    return _p_value(gain, seeds, than - float(gain.by_case.mean()), side=1)


def p_different(gain: CaseGains, seeds: SeedStd | None = None) -> float:
    """Two-sided p-value for "the mean gain is not 0"."""
    return min(1.0, 2 * min(p_greater(gain, 0.0, seeds), p_less(gain, 0.0, seeds)))


def p_equivalent(gain: CaseGains, margin: float, seeds: SeedStd | None = None) -> float:
    """P-value for "the mean gain lies within ± margin" (two one-sided tests; Schuirmann 1987).

    It is twice the larger one-sided p-value, so that it is at most alpha exactly where the interval of confidence
    1 - alpha lies within ± margin. The usual alpha a side errs too often with few skewed gains.
    """
    return min(1.0, 2 * max(p_less(gain, margin, seeds), p_greater(gain, -margin, seeds)))


def student_quantile(tail: float, freedom: Floats) -> Floats:
    """The value that Student's t exceeds with this probability."""
    return np.asarray(-stdtrit(np.minimum(freedom, 1e9), tail))


def _p_value(gain: CaseGains, seeds: SeedStd | None, distance: float, side: int) -> float:
    if len(gain.by_case) < FEWEST_TESTED or distance <= 0:
        return 1.0
    bound = _bounds(gain, seeds)[side]
    low, high = LOWEST_LOG10_P, float(np.log10(0.5))
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if bound(10**middle) > distance else (low, middle)
    return float(10**high)


def _bounds(gain: CaseGains, seeds: SeedStd | None) -> tuple[Bound, Bound]:
    """Distances of the lower and of the upper bound from the mean."""
    values, freedom = gain.by_case, max(gain.freedom, 1.0)
    case_error = np.asarray(max(float(values.std(ddof=1)), SMALLEST_STD) / len(values) ** 0.5)
    skewness = np.asarray(_skewness(values) / (freedom + 1) ** 0.5)
    seed_error = (np.asarray(seeds.std), seeds.freedom) if seeds is not None else None

    def bound(tail: float, *, skewness: Floats) -> float:
        return float(bound_distance(tail, (case_error, freedom), skewness, seed_error))

    return partial(bound, skewness=skewness), partial(bound, skewness=-skewness)


def bound_distance(
    tail: float, cases: tuple[Floats, float], skewness: Floats, seeds: tuple[Floats, float] | None
) -> Floats:
    """Distance of a bound from the mean; shapes may be broadcast.

    Args:
        tail: probability that the truth lies beyond the bound.
        cases: standard error over cases, and its degrees of freedom.
        skewness: of the gains, divided by the square root of their number; of an upper
            bound, with the sign turned.
        seeds: the same over seeds; None without.
    """
    case_error, case_freedom = cases
    if seeds is None:
        return _wider_quantile(tail, np.asarray(case_freedom), skewness) * case_error
    seed_error, seed_freedom = seeds
    if seed_freedom < FEWEST_JOINED:
        case_distance = _wider_quantile(tail, np.asarray(case_freedom), skewness) * case_error
        return np.asarray(np.hypot(case_distance, student_quantile(tail, np.asarray(seed_freedom)) * seed_error))
    error = np.hypot(case_error, seed_error)
    freedom = error**4 / (case_error**4 / case_freedom + seed_error**4 / (FREEDOM_SHARE * seed_freedom))
    return _wider_quantile(tail, freedom, skewness * (case_error / error) ** 3) * error


def _wider_quantile(tail: float, freedom: Floats, skewness: Floats) -> Floats:
    student = student_quantile(tail, freedom)
    return np.asarray(np.maximum(student, hall_quantile(student, skewness)))


def hall_quantile(quantile: Floats, skewness: Floats) -> Floats:
    """The studentised mean that Hall's cubic transformation turns into a quantile.

    Args:
        quantile: of the transformed, nearly symmetric mean.
        skewness: of the gains, divided by the square root of their number; positive where the long tail is above.
    """
    skewness = np.where(np.abs(skewness) < 1e-6, 1e-6, skewness)  # of 0, the limit is the quantile
    return np.asarray(3 / skewness * (np.cbrt(1 + skewness * (quantile - skewness / 6)) - 1))


def _skewness(values: Floats) -> float:
    """Skewness; 0 where values vary too little to have one."""
    centred = values - values.mean()
    spread = float(np.sqrt((centred**2).mean()))
    return float((centred**3).mean()) / spread**3 if spread > 1e-9 else 0.0
