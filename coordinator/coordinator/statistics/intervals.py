"""Intervals and p-values of a mean gain that are right for few cases and skewed differences too.

Cases are resampled, and the studentised means of the resamples give the quantiles (bootstrap-t). A plain percentile
bootstrap covers 83 % instead of 95 % with five cases. Each quantile is the wider of the bootstrap's and Student's. That
is too wide with few cases, so the quantile is pulled back towards the bootstrap's by 4 / cases. Of the rules that we
tried, this one covers nearest to 95 % for normal, skewed and heavy-tailed differences.

Seeds are the second level. Their noise is pooled over all networks of a dataset. Its variance is added to that of the
cases with Satterthwaite's degrees of freedom. Where seeds leave too few degrees of freedom, the distances are added in
squares instead (MOVER; Zou & Donner 2008).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Floats = NDArray[np.float64]

RESAMPLES = 1999
FEWEST_RESAMPLED = 5
"""With fewer cases, too many resamples hold a single case; Student's quantiles are used unchanged."""
FEWEST_TESTED = 3
"""With fewer cases, no test concludes anything."""
FEWEST_JOINED = 3
"""With fewer degrees of freedom of seeds, Satterthwaite's approximation is too narrow."""
BOOTSTRAP_PULL = 4.0
"""Divided by the number of cases: how far the wider quantile is pulled back towards the bootstrap's."""
FREEDOM_SHARE = 0.55
"""Share of the seeds' degrees of freedom that counts with very many cases. If all of them counted, Satterthwaite's
approximation would be slightly too narrow, and more so the more the seeds matter."""
FULL_FREEDOM_CASES = 5
"""With this many cases or fewer, all of the seeds' degrees of freedom count: the seeds matter more, beside a smaller
error of the cases, as cases are added. From here the share falls with 1 / cases towards `FREEDOM_SHARE`."""
SMALLEST_TAIL = 10 / (RESAMPLES + 1)
"""Below this tail probability there are too few resamples; the bootstrap's correction at this probability is used."""
LARGEST_TAIL = 0.25
"""Above this tail probability quantiles are too near 0 for a correction; that at this probability is used."""
LOWEST_LOG10_P = -30.0
"""Decimal logarithm of the smallest p-value."""


@dataclass(frozen=True, slots=True)
class SeedNoise:
    """How much a network's mean score changes with its seed.

    Attributes:
        std: standard deviation, in units of the score.
        freedom: degrees of freedom of `std`.
    """

    std: float
    freedom: int

    def std_of_difference(self, seeds: int) -> float:
        """Standard deviation of the difference between two means over this many seeds."""
        return float(self.std * np.sqrt(2 / seeds))

    def floor(self, seeds: int) -> float:
        """The difference that 19 of 20 pairs of networks trained on the same labels stay below."""
        return _student_quantile(0.025, self.freedom) * self.std_of_difference(seeds)


class CaseGains(Protocol):
    """What this module needs of a gain; `gains.Gain` is one."""

    @property
    def by_case(self) -> Floats:
        """(cases,) gains."""

    @property
    def seeds(self) -> int:
        """Number of seeds."""


Bound = Callable[[float], float]
"""Tail probability -> distance of the bound from the mean."""


def interval(gain: CaseGains, noise: SeedNoise | None = None, confidence: float = 0.95) -> tuple[float, float] | None:
    """Interval of a mean gain; None for fewer than two cases.

    Args:
        gain: gains by case.
        noise: noise of seeds; None for one seed: the interval then holds for these two networks only.
        confidence: share of intervals that hold the true gain.
    """
    if len(gain.by_case) < 2:
        return None
    tail, mean = (1 - confidence) / 2, float(gain.by_case.mean())
    below, above = _bounds(gain, noise)
    return mean - below(tail), mean + above(tail)


def p_greater(gain: CaseGains, than: float, noise: SeedNoise | None = None) -> float:
    """One-sided p-value for "the mean gain is greater than `than`".

    It is the tail probability at which the interval begins at `than`; 1 where the mean is not greater, and for fewer
    than three cases. If all cases have the same gain, it is the p-value of the sign test, 2^-cases.
    """
    return _p_value(gain, noise, float(gain.by_case.mean()) - than, side=0)


def p_less(gain: CaseGains, than: float, noise: SeedNoise | None = None) -> float:
    """One-sided p-value for "the mean gain is less than `than`"; see `p_greater`."""
    return _p_value(gain, noise, than - float(gain.by_case.mean()), side=1)


def p_different(gain: CaseGains, noise: SeedNoise | None = None) -> float:
    """Two-sided p-value for "the mean gain is not 0"."""
    return min(1.0, 2 * min(p_greater(gain, 0.0, noise), p_less(gain, 0.0, noise)))


def _p_value(gain: CaseGains, noise: SeedNoise | None, distance: float, side: int) -> float:
    cases = len(gain.by_case)
    if cases < FEWEST_TESTED or distance <= 0:
        return 1.0
    if _is_constant(gain.by_case) and (noise is None or noise.std == 0):
        return float(0.5**cases)
    bound = _bounds(gain, noise)[side]
    low, high = LOWEST_LOG10_P, float(np.log10(0.5))
    for _ in range(28):
        middle = (low + high) / 2
        low, high = (middle, high) if bound(10**middle) > distance else (low, middle)
    return float(10**high)


def _bounds(gain: CaseGains, noise: SeedNoise | None) -> tuple[Bound, Bound]:
    """Distances of the lower and of the upper bound from the mean."""
    values, cases = gain.by_case, len(gain.by_case)
    case_error = 0.0 if _is_constant(values) else float(values.std(ddof=1)) / cases**0.5
    seed_error = noise.std_of_difference(gain.seeds) if noise else 0.0
    pivots = _studentise_resamples(values, cases) if cases >= FEWEST_RESAMPLED and case_error else None

    def bound(tail: float, *, lower: bool) -> float:
        correction = _bootstrap_correction(tail, cases - 1, pivots, upper=lower)
        if noise is None or noise.freedom >= FEWEST_JOINED:
            share = min(FREEDOM_SHARE + (1 - FREEDOM_SHARE) * FULL_FREEDOM_CASES / cases, 1.0)
            freedom = share * noise.freedom if noise else 1.0
            return _joint_quantile(tail, [(correction * case_error, cases - 1), (seed_error, freedom)])
        case_distance = _student_quantile(tail, cases - 1) * correction * case_error
        return float(np.hypot(case_distance, _student_quantile(tail, noise.freedom) * seed_error))

    return partial(bound, lower=True), partial(bound, lower=False)


def _joint_quantile(tail: float, parts: list[tuple[float, float]]) -> float:
    """Student's quantile of a sum of independent errors, each with its degrees of freedom (Satterthwaite 1946)."""
    variance = sum(error**2 for error, _ in parts)
    if not variance:
        return 0.0
    freedom = variance**2 / sum(error**4 / freedom for error, freedom in parts)
    return _student_quantile(tail, freedom) * float(variance**0.5)


def _bootstrap_correction(tail: float, freedom: int, pivots: Floats | None, *, upper: bool) -> float:
    """The factor of Student's quantile that the resamples suggest; 1 without resamples."""
    if pivots is None:
        return 1.0
    usable_tail = min(max(tail, SMALLEST_TAIL), LARGEST_TAIL)
    rank = usable_tail * (RESAMPLES + 1) - 1
    position = RESAMPLES - 1 - rank if upper else rank
    index = int(position)
    resampled = (
        pivots[index] + (position - index) * (pivots[index + 1] - pivots[index]) if position > index else pivots[index]
    )
    ratio = abs(float(resampled)) / _student_quantile(usable_tail, freedom)
    wider = max(ratio, 1.0)
    return wider + BOOTSTRAP_PULL / (freedom + 1) * (ratio - wider)


def _student_quantile(tail: float, freedom: float) -> float:
    return -float(stdtrit(freedom, tail))


def _studentise_resamples(values: Floats, cases: int) -> Floats:
    """(RESAMPLES,) studentised means of resampled cases, sorted; infinite where a resample holds a single case."""
    counts, centred = _draw_resamples(cases), values - values.mean()
    means = counts @ centred / cases
    variances = (counts @ centred**2 / cases - means**2) / (cases - 1)
    flat = variances < 1e-12 * centred.var()
    return np.sort(np.where(flat, np.copysign(np.inf, means), means / np.sqrt(np.where(flat, 1.0, variances))))


@lru_cache(maxsize=64)
def _draw_resamples(cases: int) -> Floats:
    """(RESAMPLES, cases) how often each resample draws each case; the same at each call."""
    random = np.random.Generator(np.random.Philox(key=cases))
    return random.multinomial(cases, np.full(cases, 1 / cases), size=RESAMPLES).astype(np.float64)


def _is_constant(values: Floats) -> bool:
    """Whether all values are equal up to rounding."""
    return bool(np.ptp(values) < 1e-12)
