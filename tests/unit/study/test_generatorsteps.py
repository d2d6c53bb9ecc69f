"""Labels of generators that learn nothing from held-out cases are made anew in each fold, and joined."""

from collections.abc import Callable

import pytest

from contract.errors import UsageError
from coordinator.study.steps import Plan

FOLDS = """
generators:
  - degrade
  - {name: clean, tool: nnunet, options: {folds-over: training}}
  - {name: both, tool: consensus, of: [degrade, clean]}
train: {seeds: [0], folds: 3}
"""


def test_networks_are_trained_on_labels_that_were_made_in_their_fold(plan: Callable[..., Plan]) -> None:
    made = plan(FOLDS)

    for number, split in enumerate(made.about["folds"]["toy"]):
        folder = f"datasets/toy/folds/{number}"
        prepare = made.step(f"toy/folds/{number}/0-work/clean/prepare")
        assert prepare.inputs["split"] == f"{folder}/split"
        assert not set(split["train"]) & set(split["holdout"])
        for version in ("clean", "both"):
            assert made.step(f"toy/folds/{number}/4-store/{version}").inputs["labels"] == f"{folder}/2-labels/{version}"
        # Labels that no held-out case had a part in are made once for all folds.
        assert made.step(f"toy/folds/{number}/4-store/degrade").inputs["labels"] == "datasets/toy/2-labels/degrade"


def test_a_combination_of_such_labels_is_made_in_each_fold_from_the_labels_of_the_fold(
    plan: Callable[..., Plan],
) -> None:
    made = plan(FOLDS)

    for number in range(3):
        inputs = made.step(f"toy/folds/{number}/1-raw/both").inputs
        places = {key: place for key, place in inputs.items() if key != "split"}
        assert set(places.values()) == {f"datasets/toy/folds/{number}/2-labels/clean", "datasets/toy/2-labels/degrade"}


def test_each_case_is_scored_with_the_labels_of_the_fold_that_holds_it_out(plan: Callable[..., Plan]) -> None:
    made = plan(FOLDS)

    join = made.step("toy/2-labels/clean")
    assert join.kind == "join"
    assert [part["cases"] for part in join.settings["folds"]] == [s["holdout"] for s in made.about["folds"]["toy"]]
    assert made.step("toy/3-scores/clean").settings["prediction"] == join.output


def test_another_split_makes_all_of_it_anew_and_nothing_else(plan: Callable[..., Plan]) -> None:
    before = {step.id: step.fingerprint for step in plan(FOLDS).steps}
    after = {step.id: step.fingerprint for step in plan(FOLDS.replace("folds: 3", "folds: 3, split_seed: 1")).steps}

    redone = {step for step in after if after[step] != before[step]}
    assert {"toy/2-labels/clean", "toy/2-labels/both", "toy/folds/0/0-work/clean/fold-0"} <= redone
    assert not {"toy/1-raw/degrade", "toy/2-labels/degrade", "toy/3-scores/degrade", "toy/2-labels/base"} & redone


def test_the_plan_says_so_and_that_no_labeller_saw_held_out_cases(plan: Callable[..., Plan]) -> None:
    marks = plan(FOLDS).about["marks"]

    assert {version: mark["made_in_folds"] for version, mark in marks.items()} == {
        "degrade": False, "clean": True, "both": True,
    }  # fmt: skip
    assert not marks["clean"]["labeller_saw_held_out"]


def test_one_split_needs_no_folder_of_a_fold(plan: Callable[..., Plan]) -> None:
    made = plan(FOLDS.replace("folds: 3", "holdout: 0.2"))

    assert not [step.id for step in made.steps if "/folds/" in step.id or step.kind == "join"]


def test_labels_that_differ_from_fold_to_fold_cannot_be_mixed(plan: Callable[..., Plan]) -> None:
    with pytest.raises(UsageError, match="the same in all folds, but clean is made anew in each"):
        plan(FOLDS + "mix: {name: fix, better: base, worse: clean, shares: [0.5]}\n")
