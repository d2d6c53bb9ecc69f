"""Outcomes read from intervals."""

import pytest

from coordinator.statistics.intervals import Interval
from coordinator.study.settings import VerdictSettings
from coordinator.verdict.outcome import CANNOT_TELL, GAIN, NOT_WORTH_IT, WORTH_IT, Evidence, decide, price_per_point

SETTINGS = VerdictSettings(margin=0.01, surface_margin=0.02)


BELOW = (-0.01, 0.01)


def judge(dice, surface=BELOW, *, cases=40, seeds="measured", hours=None, settings=SETTINGS):
    intervals = {"dice": Interval(*dice)} | ({"surface_dice": Interval(*surface)} if surface else {})
    return decide(Evidence(intervals, cases, seeds, hours), settings)


@pytest.mark.parametrize(
    ("dice", "outcome"),
    [
        ((0.010, 0.020), WORTH_IT),
        ((0.009, 0.020), GAIN),
        ((0.001, 0.009), NOT_WORTH_IT),
        ((-0.020, 0.009), NOT_WORTH_IT),
        ((-0.001, 0.010), CANNOT_TELL),
        ((-0.005, 0.030), CANNOT_TELL),
    ],
)
def test_the_outcome_is_where_the_interval_lies(dice, outcome):
    assert judge(dice).outcome == outcome


def test_a_gain_in_surface_dice_alone_is_worth_it():
    """Surface Dice +12 with Dice +0.4 was "not worth it"."""
    judged = judge((0.002, 0.006), (0.11, 0.13))

    assert (judged.outcome, judged.reason) == (WORTH_IT, "by Surface Dice")


def test_not_worth_it_needs_both_metrics_below_their_margins():
    assert judge((-0.001, 0.005), (-0.01, 0.019)).outcome == NOT_WORTH_IT
    assert judge((-0.001, 0.005), (-0.01, 0.021)).outcome == CANNOT_TELL


def test_without_surface_dice_nothing_is_not_worth_it():
    assert judge((0.0, 0.005), None).outcome == CANNOT_TELL
    assert judge((0.02, 0.03), None).outcome == WORTH_IT


def test_not_worth_it_names_the_failure_rate_that_it_cannot_exclude():
    judged = judge((0.0, 0.005), cases=40)

    # 1 - 0.025^(1/40) = 8.8 %
    assert judged.reason == "below the margins; failures in up to 8.8 % of cases can't be excluded"


def test_not_worth_it_is_withheld_where_a_rare_failure_would_have_been_missed():
    few = judge((-0.001, 0.005), cases=10)

    assert few.outcome == CANNOT_TELL
    assert few.reason == "below the margins in these cases, but 10 can't exclude failures in 10 % of cases; 36 could"
    assert judge((0.001, 0.005), cases=10).outcome == GAIN
    assert judge((-0.001, 0.005), cases=10, settings=VerdictSettings(failure_rate=0.35)).outcome == NOT_WORTH_IT


def test_one_seed_cannot_tell_however_narrow_the_interval_is():
    judged = judge((0.05, 0.06), seeds="")

    assert judged.outcome == CANNOT_TELL
    assert judged.reason == "one seed: another seed may change the difference by as much"


def test_an_outcome_that_takes_the_noise_of_seeds_from_elsewhere_says_so():
    others, given = (judge((0.02, 0.03), seeds=source).reason for source in ("measured on others", "given"))

    assert (
        others == "by Dice; if another seed changes each of these networks as much as those of which there are several"
    )
    assert given == "by Dice; if the study file's noise of seeds holds here"


def test_two_cases_cannot_tell():
    assert judge((0.05, 0.06), cases=2).reason == "2 held-out cases"
    assert judge((0.05, 0.06), cases=1).reason == "1 held-out case"


def test_without_a_highest_price_hours_play_no_part():
    assert judge((0.010, 0.012), hours=12_507).outcome == WORTH_IT


@pytest.mark.parametrize(
    ("most", "outcome"),
    [
        (2000, WORTH_IT),  # 12507 hours for 1.0 to 1.2 points: 10,422 to 12,507 a point
        (12_600, WORTH_IT),
        (11_000, GAIN),
        (10_000, NOT_WORTH_IT),  # above the margin, but too dear
    ],
)
def test_a_price_is_judged_over_its_whole_interval(most, outcome):
    settings = VerdictSettings(max_hours_per_point=most)
    hours = 1000 if most == 2000 else 12_507

    assert judge((0.010, 0.012), hours=hours, settings=settings).outcome == outcome


def test_a_price_in_dice_points_does_not_outvote_surface_dice():
    settings = VerdictSettings(max_hours_per_point=100)

    for dice in ((0.0005, 0.004), (-0.004, 0.0), (0.02, 0.03)):
        assert judge(dice, (0.10, 0.14), hours=12_507, settings=settings).outcome == GAIN


def test_a_price_has_an_interval_that_may_be_open():
    price = price_per_point(100, Interval(0.01, 0.05))
    assert (price.low, price.high) == pytest.approx((20, 100))
    assert price_per_point(100, Interval(-0.01, 0.05)).high == float("inf")
    assert price_per_point(100, Interval(-0.02, -0.01)) is None
    assert price_per_point(None, Interval(0.01, 0.05)) is None
