"""Holm's correction and the tests of equivalence."""

import pytest
from helpers.gains import make_gain

from coordinator.statistics.hypotheses import holm, p_below_margin, p_equivalent


def test_holm_multiplies_the_smallest_by_the_number_and_never_falls():
    # 0.01 * 4, 0.02 * 3, then 0.03 * 2 = 0.06 and 0.04 * 1, raised to 0.06.
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.7, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_equivalence_needs_both_sides():
    small, lost = (
        make_gain([0.001, -0.001, 0.002, 0.0, 0.001, -0.002]),
        make_gain([-0.05, -0.06, -0.05, -0.04, -0.05, -0.06]),
    )

    assert p_equivalent(small, 0.01) < 0.01
    assert p_below_margin(lost, 0.01) < 0.01 and p_equivalent(lost, 0.01) == 1.0
