"""Correlations and their intervals against values by hand."""

import pytest

from coordinator.statistics.correlation import pearson, spearman


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
