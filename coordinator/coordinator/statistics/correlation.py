"""Correlation over label versions, with an interval and a p-value: do better labels go with better networks?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from scipy.stats import permutation_test, rankdata

FEWEST_PAIRS = 4
"""Fisher's interval needs more than three pairs."""
MOST_ENUMERATED = 8
"""With so many pairs all orders are tried (40,320), with more a sample of them."""
SAMPLED_ORDERS = 99_999
KEY = 20_250_528
"""Of the sample, so that the same values have the same p-value."""


@dataclass(frozen=True, slots=True)
class Correlation:
    """A correlation coefficient; the interval is None for fewer than `FEWEST_PAIRS` pairs."""

    value: float
    interval: tuple[float, float] | None
    pairs: int


def spearman(first: Sequence[float], second: Sequence[float], confidence: float = 0.95) -> Correlation | None:
    """Rank correlation with Fisher's interval and the variance of Bonett and Wright (2000).

    A perfect rank correlation would have no interval, so its interval is centred half a step below 1. None for fewer
    than three pairs, or where all values are equal.
    """
    return _correlation(rankdata(first), rankdata(second), confidence, ranks=True)


def p_rank_agreement(first: Sequence[float], second: Sequence[float]) -> float | None:
    """How often chance alone ranks two lists at least as much alike: the p-value of a positive rank correlation.

    A permutation test, one-sided: it speaks for a positive correlation alone; of lists in opposite order it is 1. The
    share is of all orders of one list (ties stay ties), for more than `MOST_ENUMERATED` pairs of `SAMPLED_ORDERS`
    random ones. Of n pairs it is 1 / n! at least, so 1 / 6 of three. It takes the pairs as exchangeable.

    None where `spearman` is None.
    """
    pairs = len(first)
    if pairs < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    # Doubled ranks are whole numbers, so equal correlations are equal sums, without rounding.
    ranks, fixed = 2 * rankdata(first), 2 * rankdata(second)
    result = permutation_test(
        (ranks,),
        lambda permuted, axis: (permuted * fixed).sum(axis=axis),
        permutation_type="pairings",
        alternative="greater",
        vectorized=True,
        n_resamples=math.factorial(pairs) if pairs <= MOST_ENUMERATED else SAMPLED_ORDERS,
        rng=np.random.default_rng(KEY),
    )
    return float(result.pvalue)


def pearson(first: Sequence[float], second: Sequence[float], confidence: float = 0.95) -> Correlation | None:
    """Linear correlation with Fisher's interval; None for fewer than three pairs, or where all values are equal."""
    return _correlation(np.asarray(first), np.asarray(second), confidence, ranks=False)


def _correlation(first: np.ndarray, second: np.ndarray, confidence: float, *, ranks: bool) -> Correlation | None:
    pairs = len(first)
    if pairs < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    value = float(np.clip(np.corrcoef(first, second)[0, 1], -1, 1))
    if pairs < FEWEST_PAIRS:
        return Correlation(value, None, pairs)
    limit = 1 - 3 / (pairs * (pairs**2 - 1)) if ranks else 1 - 1e-12
    middle = float(np.clip(value, -limit, limit))
    width = np.sqrt((1 + middle**2 / 2 if ranks else 1) / (pairs - 3)) * ndtri((1 + confidence) / 2)
    low, high = np.tanh(np.arctanh(middle) + np.array([-width, width]))
    return Correlation(value, (float(low), float(high)), pairs)
