"""Intervals and p-values of a mean gain that hold what they promise for few cases and skewed differences too.

Cases are resampled, and the studentised mean of each resample tells the quantiles (bootstrap-t). A plain percentile
bootstrap covers 83 % instead of 95 with five cases. Each quantile is the wider of the bootstrap's and Student's; that
is too wide with few cases, so it goes back towards the bootstrap's by 4 / cases: of what was tried, this covers nearest
to 95 % for normal, skewed and heavy-tailed differences.

Seeds are the second level: their noise is pooled over all networks of a dataset, and its variance joined with that of
the cases by Satterthwaite's degrees of freedom; where seeds leave too few of these, by the root of the sum of squared
distances (MOVER; Zou & Donner 2008).
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
"""With fewer cases, too many resamples hold one case alone; Student's quantiles are used as they are."""
FEWEST_TESTED = 3
"""With fewer cases, nothing is concluded."""
FEWEST_JOINED = 3
"""With fewer degrees of freedom of seeds, Satterthwaite's approximation is too narrow."""
BACK = 4.0
"""Over cases: how far from the wider quantile back to the bootstrap's."""
JOINED = 0.55
"""Share of the degrees of freedom of seeds that is counted with very many cases, and all of them with five: with all of
them always, Satterthwaite's approximation is a bit too narrow, the more so as seeds matter more."""
RESOLVED = 10 / (RESAMPLES + 1)
"""Below this tail probability resamples are too few; the bootstrap's correction is kept as it is here."""
CENTRAL = 0.25
"""Above this tail probability quantiles are too near 0 to correct anything."""
LEAST = -30.0
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

    def of_difference(self, seeds: int) -> float:
        """Standard deviation of the difference between two means over so many seeds."""
        return float(self.std * np.sqrt(2 / seeds))

    def floor(self, seeds: int) -> float:
        """The largest difference that 19 of 20 pairs of networks trained on the same labels would show."""
        return _student(0.025, self.freedom) * self.of_difference(seeds)


class Measured(Protocol):
    """A gain: see `gains.Gain`."""

    @property
    def by_case(self) -> Floats:
        """(cases,) gains."""

    @property
    def seeds(self) -> int:
        """How many seeds."""


Bound = Callable[[float], float]
"""Tail probability -> distance of the bound from the mean."""


def interval(gain: Measured, noise: SeedNoise | None = None, confidence: float = 0.95) -> tuple[float, float] | None:
    """Interval of a mean gain; None for fewer than two cases.

    Args:
        gain: of every case.
        noise: of seeds; None for one seed, and the interval then is that of these very networks.
        confidence: share of intervals that hold the truth.
    """
    if len(gain.by_case) < 2:
        return None
    tail, mean = (1 - confidence) / 2, float(gain.by_case.mean())
    below, above = _bounds(gain, noise)
    return mean - below(tail), mean + above(tail)


def p_greater(gain: Measured, than: float, noise: SeedNoise | None = None) -> float:
    """One-sided p-value for "the mean gain is greater than": the tail probability at which the interval begins there.

    1 where the mean is not greater, and for fewer than three cases, which show nothing. Where all cases gain the same,
    that of the sign test, 2^-cases.
    """
    return _p_value(gain, noise, float(gain.by_case.mean()) - than, side=0)


def p_less(gain: Measured, than: float, noise: SeedNoise | None = None) -> float:
    """One-sided p-value for "the mean gain is less than"; see `p_greater`."""
    return _p_value(gain, noise, than - float(gain.by_case.mean()), side=1)


def p_different(gain: Measured, noise: SeedNoise | None = None) -> float:
    """Two-sided p-value for "the mean gain is not 0"."""
    return min(1.0, 2 * min(p_greater(gain, 0.0, noise), p_less(gain, 0.0, noise)))


def _p_value(gain: Measured, noise: SeedNoise | None, distance: float, side: int) -> float:
    cases = len(gain.by_case)
    if cases < FEWEST_TESTED or distance <= 0:
        return 1.0
    if _constant(gain.by_case) and (noise is None or noise.std == 0):
        return float(0.5**cases)
    bound = _bounds(gain, noise)[side]
    low, high = LEAST, float(np.log10(0.5))
    for _ in range(28):
        middle = (low + high) / 2
        low, high = (middle, high) if bound(10**middle) > distance else (low, middle)
    return float(10**high)


def _bounds(gain: Measured, noise: SeedNoise | None) -> tuple[Bound, Bound]:
    """Distances of the lower and of the upper bound from the mean."""
    values, cases = gain.by_case, len(gain.by_case)
    of_cases = 0.0 if _constant(values) else float(values.std(ddof=1)) / cases**0.5
    of_seeds = noise.of_difference(gain.seeds) if noise else 0.0
    pivots = _studentised(values, cases) if cases >= FEWEST_RESAMPLED and of_cases else None

    def bound(tail: float, *, lower: bool) -> float:
        correction = _correction(tail, cases - 1, pivots, upper=lower)
        if noise is None or noise.freedom >= FEWEST_JOINED:
            share = min(JOINED + (1 - JOINED) * 5 / cases, 1.0)
            freedom = share * noise.freedom if noise else 1.0
            return _joined(tail, [(correction * of_cases, cases - 1), (of_seeds, freedom)])
        parts = _student(tail, cases - 1) * correction * of_cases, _student(tail, noise.freedom) * of_seeds
        return float(np.hypot(*parts))

    return partial(bound, lower=True), partial(bound, lower=False)


def _joined(tail: float, parts: list[tuple[float, float]]) -> float:
    """Student's quantile of independent errors together, each with its degrees of freedom (Satterthwaite 1946)."""
    variance = sum(error**2 for error, _ in parts)
    if not variance:
        return 0.0
    freedom = variance**2 / sum(error**4 / freedom for error, freedom in parts)
    return _student(tail, freedom) * float(variance**0.5)


def _correction(tail: float, freedom: int, pivots: Floats | None, *, upper: bool) -> float:
    """What Student's quantile is multiplied by."""
    if pivots is None:
        return 1.0
    resolved = min(max(tail, RESOLVED), CENTRAL)
    rank = resolved * (RESAMPLES + 1) - 1
    place = RESAMPLES - 1 - rank if upper else rank
    least = int(place)
    resampled = (
        pivots[least] + (place - least) * (pivots[least + 1] - pivots[least]) if place > least else pivots[least]
    )
    ratio = abs(float(resampled)) / _student(resolved, freedom)
    wider = max(ratio, 1.0)
    return wider + BACK / (freedom + 1) * (ratio - wider)


def _student(tail: float, freedom: float) -> float:
    return -float(stdtrit(freedom, tail))


def _studentised(values: Floats, cases: int) -> Floats:
    """(RESAMPLES,) studentised means of resampled cases, sorted; infinite where a resample is one case alone."""
    counts, centred = _resamples(cases), values - values.mean()
    means = counts @ centred / cases
    variances = (counts @ centred**2 / cases - means**2) / (cases - 1)
    flat = variances < 1e-12 * centred.var()
    return np.sort(np.where(flat, np.copysign(np.inf, means), means / np.sqrt(np.where(flat, 1.0, variances))))


@lru_cache(maxsize=64)
def _resamples(cases: int) -> Floats:
    """(RESAMPLES, cases) how often each case is drawn; the same for each call."""
    random = np.random.Generator(np.random.Philox(key=cases))
    return random.multinomial(cases, np.full(cases, 1 / cases), size=RESAMPLES).astype(np.float64)


def _constant(values: Floats) -> bool:
    """Whether all values are one, but for rounding."""
    return bool(np.ptp(values) < 1e-12)
