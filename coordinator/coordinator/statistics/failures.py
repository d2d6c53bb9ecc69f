"""What held-out cases without a failure can't exclude: the rate of a rare failure (the rule of three)."""

import math


def highest_rate(cases: int, alpha: float) -> float:
    """The highest failure rate that so many cases without a failure leave possible, at this level; about 3 / cases."""
    return float(1 - alpha ** (1 / cases)) if cases else 1.0


def cases_to_exclude(rate: float, alpha: float) -> int:
    """The fewest cases among which a failure of this rate would have been seen, but for a chance of alpha."""
    return math.ceil(math.log(alpha) / math.log1p(-rate))
