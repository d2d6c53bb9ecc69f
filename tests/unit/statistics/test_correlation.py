"""Correlations, their intervals and p-values against values by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from coordinator.statistics.correlation import p_rank_agreement, pearson, spearman


def test_correlation_has_fishers_interval():
    # Pearson of these is 0.8; atanh 0.8 = 1.0986, half width 1.95996 / sqrt 2: tanh(-0.2873), tanh(2.4845).
    correlation = pearson([1, 2, 3, 4, 5], [2, 1, 4, 3, 5])

    assert correlation.value == pytest.approx(0.8)
    assert correlation.interval == (pytest.approx(-0.2796, abs=1e-3), pytest.approx(0.9862, abs=1e-3))


def test_rank_correlation_needs_three_different_values():
    assert spearman([1, 2, 3, 4], [10, 20, 40, 30]).value == pytest.approx(0.8)
    assert spearman([1, 2, 3], [1, 2, 3]).interval is None
    assert spearman([1, 2], [1, 2]) is None
    assert spearman([1, 1, 1], [1, 2, 3]) is None


def test_a_perfect_rank_correlation_has_an_interval():
    low, high = spearman([1, 2, 3, 4, 5, 6], [1, 2, 4, 6, 8, 9]).interval

    assert 0.7 < low < high <= 1


def test_three_versions_in_one_order_are_chance_in_1_of_6():
    """The issue's three versions, 0.1 points apart."""
    assert p_rank_agreement([0.801, 0.802, 0.803], [0.851, 0.852, 0.853]) == pytest.approx(1 / 6)


def test_four_versions_in_one_order_are_chance_in_1_of_24():
    assert p_rank_agreement([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx(1 / 24)
    # Of the 24 orders, one has a sum of squared rank differences of 0, three of 2: one neighbouring pair exchanged.
    assert p_rank_agreement([1, 2, 3, 4], [10, 20, 40, 30]) == pytest.approx(4 / 24)


def test_opposite_orders_are_no_evidence_of_agreement():
    assert p_rank_agreement([1, 2, 3, 4, 5], [5, 4, 3, 2, 1]) == 1


def test_a_p_value_needs_three_different_values():
    assert p_rank_agreement([1, 2], [1, 2]) is None
    assert p_rank_agreement([1, 1, 1], [1, 2, 3]) is None


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=3, max_size=6))
def test_the_p_value_is_the_share_of_all_orders_that_agree_as_much_ties_or_not(pairs):
    first, second = map(list, zip(*pairs, strict=True))
    if len({*first}) == 1 or len({*second}) == 1:
        return
    ranks, others = 2 * rankdata(first), 2 * rankdata(second)
    sums = [int(np.dot(order, others)) for order in itertools.permutations(ranks)]

    expected = sum(total >= np.dot(ranks, others) for total in sums) / len(sums)

    assert p_rank_agreement(first, second) == pytest.approx(expected)


def test_many_versions_are_sampled_with_the_same_result_each_time():
    first = list(range(12))
    second = [3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10]

    p = p_rank_agreement(first, second)

    assert p == p_rank_agreement(first, second)
    assert 0 < p < 0.01


@pytest.mark.parametrize("alpha", [0.05, 0.025, 0.01])
def test_of_all_orders_of_five_no_more_than_alpha_have_a_p_value_of_alpha(alpha):
    """So a claim at alpha is wrong in at most alpha of studies in which labels and networks have nothing to do."""
    fixed = range(5)

    claimed = [p_rank_agreement(fixed, order) <= alpha for order in itertools.permutations(fixed)]

    assert 0 < np.mean(claimed) <= alpha
