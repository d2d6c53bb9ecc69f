"""How far a value lies from the others, by median and median absolute deviation."""

from collections.abc import Sequence

import numpy as np

FEWEST = 5
"""Cases that a comparison needs; fewer say nothing about what is usual."""
NORMAL = 1.4826
"""Factor that makes the median absolute deviation the standard deviation of a normal distribution."""


def robust_z(values: Sequence[float], least_spread: float) -> list[float]:
    """Each value's distance from the median in robust standard deviations, signed; all 0 for fewer than `FEWEST`.

    Args:
        values: of one quantity, one for each case.
        least_spread: the standard deviation that is assumed where values agree more closely, in the values' unit.
    """
    if len(values) < FEWEST:
        return [0.0] * len(values)
    median = float(np.median(values))
    spread = NORMAL * float(np.median(np.abs(np.asarray(values) - median)))
    return [(value - median) / max(spread, least_spread) for value in values]
