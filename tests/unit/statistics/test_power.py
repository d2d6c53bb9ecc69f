"""The power that is announced, against scipy's and against simulated studies."""

import numpy as np
import pytest
from helpers.gains import make_gain, make_seed_error
from statsmodels.stats.power import TTestPower

from coordinator.statistics.intervals import interval
from coordinator.statistics.power import Design, cases_needed, detectable_distance, power


def test_with_many_cases_the_power_is_that_of_the_t_test():
    expected = TTestPower().power(effect_size=0.45, nobs=40, alpha=0.05, alternative="two-sided")

    assert power(Design(1.0, 40, 0.95), 0.45) == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize(("cases", "seeds"), [(5, None), (6, None), (40, make_seed_error(0.3, 6))])
def test_four_of_five_studies_are_four_of_five(cases, seeds):
    """They were 54 % with five cases, 61 % with six, and 54 % with 40 cases and three seeds."""
    distance = detectable_distance(Design(1.0, cases, 0.95, seeds))
    random = np.random.Generator(np.random.Philox(key=cases))
    shown = 0
    for _ in range(1500):
        values = random.normal(distance, 1.0, cases)
        found = None
        if seeds:
            values = values + random.normal(0, seeds.std)
            found = make_seed_error(seeds.std * np.sqrt(random.chisquare(seeds.freedom) / seeds.freedom), seeds.freedom)
        shown += interval(make_gain(values), found).low > 0

    assert shown / 1500 == pytest.approx(0.8, abs=0.04)


def test_the_detectable_distance_shrinks_with_cases_and_agrees_with_the_cases_needed():
    needed = cases_needed(Design(0.03, 10, 0.95), 0.01)

    assert power(Design(0.03, needed, 0.95), 0.01) >= 0.8 > power(Design(0.03, needed - 1, 0.95), 0.01)
    assert detectable_distance(Design(0.03, 20, 0.95)) < detectable_distance(Design(0.03, 10, 0.95))


def test_too_few_cases_show_nothing_and_noisy_seeds_can_make_any_number_too_few():
    assert detectable_distance(Design(0.03, 2, 0.95)) is None
    assert cases_needed(Design(0.03, 10, 0.95, make_seed_error(0.02, 5)), 0.01) is None
