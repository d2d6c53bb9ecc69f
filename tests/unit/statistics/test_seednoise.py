"""The noise of seeds on scores written by hand."""

import math

import numpy as np
import pytest

from coordinator.statistics.gains import Cube
from coordinator.statistics.seednoise import seed_error


def make_cube(**seed_means: list[float]) -> Cube:
    """Networks of one organ in three cases whose scores differ by seed alone."""
    most = max(map(len, seed_means.values()))
    scores = np.full((len(seed_means), 3, most, 1), np.nan)
    for i, means in enumerate(seed_means.values()):
        scores[i, :, : len(means), 0] = np.add.outer([0.0, 0.1, 0.3], means)
    return Cube(tuple(seed_means), ("a", "b", "c"), tuple(range(most)), (1,), scores)


def test_of_two_versions_each_counts_with_its_own_noise():
    cube = make_cube(base=[0.50, 0.54], v=[0.40, 0.41])

    error = seed_error(cube, "base", "v")

    # Variances 0.0008 and 0.00005; each mean is over two networks; Welch's degrees of freedom.
    assert error.std == pytest.approx(math.sqrt((0.0008 + 0.00005) / 2))
    assert error.freedom == pytest.approx((0.0008 + 0.00005) ** 2 / (0.0008**2 + 0.00005**2))
    assert error.networks == pytest.approx(math.sqrt(0.0008))


def test_a_calm_version_borrows_from_the_others_but_never_less_than_its_own():
    cube = make_cube(base=[0.50, 0.54], v=[0.40, 0.40], w=[0.30, 0.34])

    error = seed_error(cube, "v", "v")

    # Own variance 0 with 1 degree of freedom; the others' 0.0008 counts with two: they have no more.
    assert error.networks == pytest.approx(math.sqrt(0.0008 * 2 / 3))


def test_a_restless_version_counts_with_its_own_noise():
    """Pooled with the calm ones, intervals held in 72 to 86 % of studies."""
    cube = make_cube(base=[0.500, 0.503, 0.506], v=[0.40, 0.42, 0.44], w=[0.300, 0.303, 0.306])

    error = seed_error(cube, "base", "v")

    assert error.networks == pytest.approx(0.02)
    assert error.freedom < 4


def test_a_version_of_one_seed_takes_the_noise_of_the_others():
    error = seed_error(make_cube(base=[0.50, 0.52, 0.54], v=[0.4]), "base", "v")

    assert error.source == "measured on others"
    assert error.std == pytest.approx(math.sqrt(0.0004 / 3 + 0.0004))
    assert error.freedom == 2


def test_where_nobody_has_two_seeds_the_noise_is_unknown_or_given():
    cube = make_cube(base=[0.5], v=[0.4])

    assert seed_error(cube, "base", "v") is None
    given = seed_error(cube, "base", "v", given_std=0.005)
    assert (given.source, given.networks) == ("given", 0.005)
    assert given.std == pytest.approx(0.005 * math.sqrt(2))


def test_what_seeds_do_on_single_cases_is_not_taken_for_noise_of_whole_networks():
    # The seeds differ in opposite directions in two cases; their means are the same.
    scores = np.array([[[[0.4], [0.44]], [[0.64], [0.6]]], [[[0.4], [0.4]], [[0.6], [0.6]]]])
    cube = Cube(("base", "v"), ("a", "b"), (0, 1), (1,), scores)

    assert seed_error(cube, "base", "v").std == 0
