"""Rare failures that held-out cases can't exclude."""

import pytest

from coordinator.statistics.failures import cases_to_exclude, highest_rate


def test_the_rule_of_three():
    assert highest_rate(30, 0.05) == pytest.approx(3 / 30, rel=0.06)
    assert highest_rate(300, 0.05) == pytest.approx(3 / 300, rel=0.01)
    assert highest_rate(0, 0.05) == 1.0


def test_a_failure_in_one_case_of_ten_needs_29_cases_to_be_seen():
    # 0.9^29 = 0.0471 <= 0.05 < 0.0523 = 0.9^28
    assert cases_to_exclude(0.1, 0.05) == 29
    assert highest_rate(29, 0.05) <= 0.1 < highest_rate(28, 0.05)
