"""The smallest detectable gain and the cases needed."""

import math

import pytest

from coordinator.statistics.intervals import SeedNoise
from coordinator.statistics.power import cases_needed, detectable_gain


def test_the_detectable_gain_shrinks_with_cases_and_agrees_with_the_cases_needed():
    # n = 10: (t_{9; 0.975} + t_{9; 0.8}) * 0.03 / sqrt 10 = (2.2622 + 0.8834) * 0.009487
    assert detectable_gain(0.03, 10, 0.05) == pytest.approx(3.1456 * 0.03 / math.sqrt(10), rel=1e-4)
    assert detectable_gain(0.03, 2, 0.05) is None
    needed = cases_needed(0.03, 0.01, 0.05)
    assert detectable_gain(0.03, needed, 0.05) <= 0.01 < detectable_gain(0.03, needed - 1, 0.05)
    assert cases_needed(0.03, 0.01, 0.05, SeedNoise(0.02, 5), seeds=2) is None
