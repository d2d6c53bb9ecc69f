"""How many cases are worth correcting? On runs whose truth is put in by hand."""

import shutil
from pathlib import Path

import pytest
from helpers.mixedruns import LOSS, fail, make_mixed_run

from coordinator.report import write_report
from coordinator.results.load import load_run
from coordinator.results.run import Run
from coordinator.verdict.mixtures import describe_curve, find_curves
from coordinator.verdict.sentences import describe_tests
from coordinator.verdict.testplan import make_test_plan


def sentences(run: Run) -> list[str]:
    return [sentence for curve in find_curves(run) for sentence in describe_curve(run, run.mix, curve)]


@pytest.mark.parametrize("folds", [1, 5])
def test_curves_show_what_each_share_gains_what_is_enough_and_which_rule_is_better(tmp_path: Path, folds: int):
    run = load_run(make_mixed_run(tmp_path / "run", folds=folds))

    random, worst = find_curves(run)

    assert [line for line in run.missing if "training log" not in line] == []
    assert [point.share for point in random.points] == [0.25, 0.75, 1.0]
    assert [point.gain for point in random.points] == pytest.approx([0.05, 0.097, 0.1], abs=0.003)
    assert all(point.low < point.gain < point.high for point in random.points)
    assert [point.is_within for point in random.points] == [False, True, False]
    assert random.enough.share == worst.enough.share == 0.75
    assert (random.advantage, worst.advantage) == (None, pytest.approx((0.03 + 0.001) / 2, abs=0.003))
    assert worst.low > 0
    training = 8 if folds == 1 else 32
    assert [point.cases for point in worst.points] == [training / 4, training * 3 / 4, training]
    assert [point.hours for point in worst.points] == [training / 4, training * 3 / 4, training], (
        "two organs, half an hour each"
    )


def test_the_sentences_name_the_smallest_share_its_price_and_what_it_does_not_exclude(tmp_path: Path):
    of_random, of_worst, comparison = sentences(load_run(make_mixed_run(tmp_path / "run")))

    assert of_random.startswith(
        "random: 75 % of the training cases (6, 6.0 hours) is the smallest share shown to fall "
    )
    assert (
        "short of expert by less than 1 Dice point and 2 of Surface Dice; failures in up to 11 % of cases can't be "
        "excluded." in of_random
    )
    assert of_worst.startswith("worst: 75 % of the training cases")
    assert comparison.startswith("Correcting the worst labels first is shown to be better than at random, by +1.")


def test_a_larger_share_that_is_not_shown_to_be_enough_withholds_the_smaller_ones(tmp_path: Path):
    """Chance makes one of many shares look good; from the largest down, one chance of an error serves all."""
    run = load_run(make_mixed_run(tmp_path / "run", loss=LOSS | {"random-25": 0.0, "random-75": 0.05}))

    random = find_curves(run)[0]

    assert [point.is_within for point in random.points] == [True, False, False]
    assert random.enough is None
    assert (
        "can't tell whether fewer than all cases are enough: no share is shown to fall short of expert"
        in sentences(run)[0]
    )
    assert "with 75 % of them, it may be 5." in sentences(run)[0]


def test_one_seed_and_two_cases_show_nothing(tmp_path: Path):
    one_seed = load_run(make_mixed_run(tmp_path / "seed", seeds=[0]))
    two_cases = load_run(make_mixed_run(tmp_path / "cases", tested=2))

    assert sentences(one_seed) == [
        "random: can't tell; with one draw, another may change the network by as much.",
        "worst: can't tell; with one seed, another may change the network by as much.",
    ]
    assert [curve.enough for curve in find_curves(two_cases)] == [None, None]
    assert "Can't tell whether correcting the worst labels first is better than at random" in sentences(two_cases)[2]


def test_equal_rules_are_not_told_apart(tmp_path: Path):
    run = load_run(make_mixed_run(tmp_path / "run", loss=LOSS | {"worst-25": 0.05, "worst-75": 0.003}))

    assert "Can't tell whether correcting the worst labels first is better than at random" in sentences(run)[2]


def test_each_rule_counts_in_the_plan_of_tests(tmp_path: Path):
    plan = make_test_plan(load_run(make_mixed_run(tmp_path / "run")))

    assert (plan.verdicts, plan.curves) == (1, 2)
    assert plan.share == pytest.approx(0.05 / 3)
    assert "1 comparison and 2 curves of mixtures, with one error together" in describe_tests(plan)


@pytest.mark.parametrize("folds", [1, 5])
def test_the_report_draws_the_curves_and_lists_the_shares(tmp_path: Path, folds: int):
    run = make_mixed_run(tmp_path / "run", folds=folds)
    (tmp_path / "report").mkdir()

    page = write_report(run, tmp_path / "report").read_text()

    assert "How many cases are worth correcting?" in page
    assert (tmp_path / "report/figures/mixtures-word.svg").is_file()
    rows = (tmp_path / "report/tables/mixtures-word.csv").read_text().splitlines()
    assert len(rows) == 1 + 4 + 1
    assert ("Each case was held out once, in 5 folds" in page) == (folds == 5)
    assert ("the variance over cases counts 2.25 times" in page) == (folds == 5)


def test_one_draw_is_never_enough_whatever_else_shows_the_noise_of_seeds(tmp_path: Path):
    """The noise of the draw was taken from networks that have none: 22 % of studies called too small a share enough."""
    folder = make_mixed_run(
        tmp_path / "run", loss={"base": 0.1, "random-75": 0.0, "worst-75": 0.0, "expert": 0.0}, mix_seeds=[0]
    )

    random, worst = find_curves(load_run(folder))

    assert (random.enough, random.points[0].low) == (None, None)
    assert worst.enough.share == 0.75
    assert (
        "if another seed changes each of these networks as much as those of which there are several"
        in sentences(load_run(folder))[1]
    )
    assert "with one draw" in random.why_open


def test_a_share_of_which_networks_failed_is_not_enough_and_says_so(tmp_path: Path):
    folder = make_mixed_run(tmp_path / "run")
    fail(folder, "mix-random-75-draw-1", 1)

    run = load_run(folder)

    assert [network.version for network in run.mix.failed_networks] == ["mix-random-75"]
    assert run.failed_networks == ()
    assert find_curves(run)[0].enough is None
    assert "; 1 network with 75 % of them failed." in sentences(run)[0]
    assert "Can't tell whether correcting the worst labels first is better" in sentences(run)[2]
    (tmp_path / "report").mkdir()
    assert "1 network failed" in write_report(folder, tmp_path / "report").read_text()
    assert "mix-" not in (tmp_path / "report/tables/in-domain.csv").read_text()


def test_without_networks_on_the_better_labels_that_is_the_reason(tmp_path: Path):
    folder = make_mixed_run(tmp_path / "run")
    shutil.rmtree(folder / "datasets/word/6-predictions/expert")

    assert sentences(load_run(folder))[0] == "random: can't tell; no network on expert has scores."


def test_without_networks_on_the_worse_labels_a_share_can_still_be_enough(tmp_path: Path):
    folder = make_mixed_run(tmp_path / "run")
    shutil.rmtree(folder / "datasets/word/6-predictions/base")

    assert find_curves(load_run(folder))[0].enough.share == 0.75
