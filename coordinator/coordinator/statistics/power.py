"""Power of a study: the smallest gain that it would detect, and the cases needed to detect a gain."""

import numpy as np
from scipy.special import stdtrit

from coordinator.statistics.intervals import FEWEST_TESTED, SeedNoise

POWER = 0.8
MOST_CASES = 1_000_000


def detectable_gain(
    std: float, cases: int, alpha: float, noise: SeedNoise | None = None, seeds: int = 1
) -> float | None:
    """The smallest true gain that four of five studies detect; None for fewer than three cases.

    Args:
        std: standard deviation of the gain between cases.
        cases: number of held-out cases.
        alpha: of a two-sided test; already divided by the number of comparisons.
        noise: noise of seeds; None if unknown, and then left out.
        seeds: number of seeds of each label version.
    """
    if cases < FEWEST_TESTED:
        return None
    errors = [(std / np.sqrt(cases), cases - 1)]
    if noise is not None:
        errors.append((noise.std_of_difference(seeds), noise.freedom))
    distances = [float(np.hypot.reduce([e * -stdtrit(f, tail) for e, f in errors])) for tail in (alpha / 2, 1 - POWER)]
    return sum(distances)


def cases_needed(std: float, gain: float, alpha: float, noise: SeedNoise | None = None, seeds: int = 1) -> int | None:
    """The fewest held-out cases that would detect a gain; None where no number of cases would be enough.

    Args:
        std: standard deviation of the gain between cases.
        gain: the true gain, in the unit of `std`.
        alpha: of a two-sided test; already divided by the number of comparisons.
        noise: noise of seeds; None if unknown, and then left out.
        seeds: number of seeds of each label version.

    Raises:
        ValueError: the gain is not positive.
    """
    if gain <= 0:
        raise ValueError(f"gain must be positive, but is {gain}")
    low, high = FEWEST_TESTED - 1, MOST_CASES
    if (detectable_gain(std, high, alpha, noise, seeds) or 0) > gain:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        detectable = detectable_gain(std, middle, alpha, noise, seeds)
        low, high = (low, middle) if detectable is not None and detectable <= gain else (middle, high)
    return high
