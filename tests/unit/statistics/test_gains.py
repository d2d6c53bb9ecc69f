"""Gains of networks and the noise of seeds, on scores written by hand."""

import math

import numpy as np
import pytest

from coordinator.statistics.gains import Cube, gain, seed_noise


def test_the_gain_is_the_difference_of_means_of_organ_means_when_organs_are_missing():
    scores = np.full((2, 3, 1, 2), np.nan)
    scores[0, :, 0, 0], scores[1, :, 0, 0] = [0.9, 0.8, 0.7], [0.8, 0.6, 0.7]
    scores[0, :2, 0, 1], scores[1, :2, 0, 1] = [0.5, 0.7], [0.4, 0.7]  # the third case lacks the second organ
    cube = Cube(("base", "v"), ("a", "b", "c"), (0,), (1, 2), scores)

    result = gain(cube, "base", "v")

    # Organ means: (0.1 + 0.2 + 0) / 3 = 0.1 and (0.1 + 0) / 2 = 0.05; their mean 0.075.
    assert result.mean == pytest.approx(0.075)
    # First case: 0.075 + 3 / 2 * (0 / 3 + 0.05 / 2).
    assert result.by_case[0] == pytest.approx(0.075 + 1.5 * 0.025)
    assert gain(cube, "base", "nobody") is None


def test_seed_noise_is_the_spread_between_seeds_less_that_of_cases():
    # Two cases, two seeds, no residual: seed means 0.5 and 0.54, variance 0.0008.
    exact = Cube(("v",), ("a", "b"), (0, 1), (1,), np.array([[[[0.4], [0.44]], [[0.6], [0.64]]]]))
    # Seeds differ in opposite directions: their means are the same, all of it is residual.
    none = Cube(("v",), ("a", "b"), (0, 1), (1,), np.array([[[[0.4], [0.44]], [[0.64], [0.6]]]]))

    assert seed_noise(exact).std == pytest.approx(math.sqrt(0.0008))
    assert seed_noise(exact).freedom == 1
    assert seed_noise(none).std == 0
    # 12.706 * sqrt(0.0008) * sqrt(2 / 2)
    assert seed_noise(exact).floor(2) == pytest.approx(12.7062 * math.sqrt(0.0008), rel=1e-4)


def test_one_seed_gives_no_noise():
    assert seed_noise(Cube(("v",), ("a", "b"), (0,), (1,), np.zeros((1, 2, 1, 1)))) is None
