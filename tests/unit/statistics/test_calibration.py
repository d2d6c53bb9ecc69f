"""The quick form of `tests/benchmarks/calibration.py`: simulated studies, judged as the report judges."""

import math
from dataclasses import replace

import numpy as np
import pytest
from helpers.simulated import Shape, draw_study, generator, judge_study
from helpers.simulatedfolds import FoldShape, draw_folds, true_gain

from coordinator.statistics.comparison import compare
from coordinator.study.settings import VerdictSettings
from coordinator.verdict.outcome import CANNOT_TELL, GAIN, NOT_WORTH_IT, WORTH_IT

SETTINGS = VerdictSettings(surface_margin=0.02)
MARGIN = SETTINGS.margin
STUDIES = 150


def judge(shape: Shape, studies: int = STUDIES):
    return [judge_study(draw_study(shape, generator(77, number)), SETTINGS) for number in range(studies)]


@pytest.mark.parametrize(
    ("what", "shape"),
    {
        "no gain": Shape((0.0,) * 7, cases=40),
        "at the margin": Shape((MARGIN,) * 7, cases=40),
        "a tenth below the margin": Shape((0.9 * MARGIN,) * 7, cases=40),
        "five cases": Shape((0.0,) * 3, cases=5),
        "noisy seeds": Shape((0.0,) * 7, cases=40, seed_std=0.01),
        "one restless version": Shape((0.0,) * 5, cases=40, seed_std=0.003, restless=7.0),
        "noise seeds": Shape((0.0,) * 7, cases=40, seeds=1, noise_seeds=2),
        "absent organs": Shape((0.02,) * 3, cases=20, absent=0.4),
        "rare organs": Shape((0.0,) * 3, cases=20, organs=4, rare=(3, 1)),
        "13 organs, 3 in one case": Shape((0.0,) * 3, cases=8, organs=13, rare=(1, 1, 1)),
        "skewed": Shape((MARGIN,) * 3, cases=20, tail="skewed"),
        "heavy": Shape((0.0,) * 3, cases=20, tail="heavy"),
        "near 1": Shape((MARGIN,) * 3, cases=20, bounded=True),
        "patients": Shape((0.0,) * 3, cases=40, scans=3),
    }.items(),
)
def test_intervals_hold_and_outcomes_are_right_as_often_as_promised(what, shape):
    """150 studies tell 95 % to within three standard errors of about 1 point (several versions each), and 5 % likewise."""
    judged = judge(shape)

    coverage = np.mean([one.covers() for study in judged for one in study])
    wrong = np.mean([any(one.is_wrong(SETTINGS) for one in study) for study in judged])
    assert 0.93 - 0.02 <= coverage <= 0.98 + 0.012, what
    assert wrong <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / STUDIES), what


@pytest.mark.parametrize("folds", [3, 5, 10])
def test_intervals_of_folds_hold_for_networks_of_other_training_cases(folds: int):
    """As if cases were independent, they held in 87 to 95 % of studies."""
    shape = FoldShape(cases=20, folds=folds, features=10)
    truth = true_gain(shape)

    intervals = [compare(draw_folds(shape, generator(6, n))[0], "base", "worse").interval(0.95) for n in range(STUDIES)]

    assert np.mean([ends.low <= truth <= ends.high for ends in intervals]) >= 0.93 - 0.02


@pytest.mark.parametrize("seed_std", [0.005, 0.01])
def test_one_seed_never_concludes_anything(seed_std):
    """One seed counted its noise as zero: 17 to 64 % of such studies found a gain where there was none."""
    judged = judge(Shape((0.0,) * 7, cases=40, seeds=1, seed_std=seed_std), studies=40)

    assert {one.outcome for study in judged for one in study} == {CANNOT_TELL}


def test_a_given_seed_std_stands_in_for_further_seeds():
    shape = Shape((0.0,) * 7, cases=40, seeds=1)
    settings = VerdictSettings(surface_margin=0.02, seed_std=0.01, seed_std_source="an earlier study")

    judged = [judge_study(draw_study(shape, generator(3, number)), settings) for number in range(STUDIES)]

    wrong = np.mean([any(one.is_wrong(settings) for one in study) for study in judged])
    assert wrong <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / STUDIES)


@pytest.mark.parametrize("cases", [5, 10])
def test_a_network_that_fails_in_one_case_of_ten_is_not_called_as_good(cases):
    """It was, in 54 % of studies of five cases and 35 % of ten: where none failed among those that were seen."""
    judged = judge(Shape((0.0,), cases=cases, failures=0.1))

    assert NOT_WORTH_IT not in {one.outcome for study in judged for one in study}


def test_a_gain_below_the_margin_is_not_called_worth_it():
    """A gain of 0.8 of the margin was, in 17 to 31 % of studies: only a gain above 0 was tested."""
    shape = Shape((0.8 * MARGIN,), cases=40, seeds=5, seed_std=0.001, case_std=0.005)

    outcomes = [one.outcome for study in judge(shape) for one in study]

    assert np.mean([outcome == WORTH_IT for outcome in outcomes]) <= 0.05
    assert np.mean([outcome == GAIN for outcome in outcomes]) > 0.7


def test_absent_organs_do_not_make_a_gain_of_two_points_worthless():
    """With two tied cases of five, "not worth it" came in 14.8 % at a true gain of two points."""
    shape = Shape((0.02,), cases=5, organs=2, absent=0.4, seed_std=0.001)

    assert NOT_WORTH_IT not in {one.outcome for study in judge(replace(shape)) for one in study}
