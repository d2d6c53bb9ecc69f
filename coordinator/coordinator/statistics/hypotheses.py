"""Several claims at once, and the claim that nothing changed."""

from collections.abc import Sequence

from coordinator.statistics.intervals import Measured, SeedNoise, p_greater, p_less


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number, so that all of them together are wrong in at most alpha (Holm 1979).

    Returns:
        In the order that came; none for none.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = highest
    return corrected


def p_below_margin(gain: Measured, margin: float, noise: SeedNoise | None = None) -> float:
    """P-value for "the gain is less than the margin"; to be compared with the alpha of a two-sided test.

    Twice the one-sided one. Two one-sided tests usually use alpha each, but with few skewed differences these are
    wrong too often: up to 9 % instead of 5 (see the calibration). So a claim holds just where the 1 - alpha
    interval, which the report shows, lies below the margin.
    """
    return min(1.0, 2 * p_less(gain, margin, noise))


def p_equivalent(gain: Measured, margin: float, noise: SeedNoise | None = None) -> float:
    """P-value for "the gain lies within ± margin" (TOST, Schuirmann 1987); alpha as for `p_below_margin`."""
    return max(p_below_margin(gain, margin, noise), min(1.0, 2 * p_greater(gain, -margin, noise)))
