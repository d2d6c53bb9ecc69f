"""Networks that learned nothing leave the scores when a run is read, each with its reason."""

import json
from pathlib import Path

import polars as pl
import pytest
from helpers.scoredruns import (
    TARGET,
    diverge,
    make_scored_run,
    predict_elsewhere,
    predict_nothing,
    put,
    remove_organ,
    scores_file,
    write_json,
)

from coordinator.results.failednetworks import FailedNetwork
from coordinator.results.load import load_run
from coordinator.results.run import Run
from coordinator.verdict.decide import findings

AORTA = pl.col("label") == 3


def has_scores(run: Run, target: str | None = None) -> set[tuple[str, int]]:
    """Version and seed of the networks that take part."""
    scores = next(t.scores for t in run.transfers if t.target == target) if target else run.model_scores
    return set(scores.select("version", "seed").unique().iter_rows())


def reasons(run: Path) -> dict[tuple[str, int], str]:
    """Version and seed of each network that failed in-domain -> why."""
    return {(n.version, n.seed): n.reason for n in load_run(run).failed_networks if n.target is None}


def test_a_base_network_of_dice_0_and_a_network_that_predicts_nothing_are_compared_with_none(tmp_path: Path):
    run = make_scored_run(tmp_path / "run", seeds=(0,), held_out=3, versions=("nnunet",))
    predict_elsewhere(scores_file(run, "base", 0))
    predict_nothing(scores_file(run, "nnunet", 0))

    loaded = load_run(run)

    assert tuple(network for network in loaded.failed_networks if network.target is None) == (
        FailedNetwork("word", None, "base", 0, "has Dice 0.0 on the held-out cases, below the floor of 5"),
        FailedNetwork(
            "word", None, "nnunet", 0, "predicts none of the 26,139 voxels that the reference labels have"
        ),
    )  # fmt: skip
    assert {n.reason for n in loaded.failed_networks if n.target} == {"was fine-tuned from a network that failed"}
    assert loaded.model_scores.is_empty()
    assert {f.outcome for f in findings(loaded) if f.target is None} <= {"can't tell"}


def test_a_fine_tuned_network_of_dice_0_leaves_the_scores_of_its_target_only(tmp_path: Path):
    run = make_scored_run(tmp_path / "run", seeds=(0,))
    predict_elsewhere(scores_file(run, "medsam", 0, TARGET))

    loaded = load_run(run)

    assert [(n.target, n.version, n.name) for n in loaded.failed_networks] == [
        (TARGET, "medsam", "word to segthor: medsam, seed 0")
    ]
    assert ("medsam", 0) in has_scores(loaded) and ("medsam", 0) not in has_scores(loaded, TARGET)
    outcomes = {f.version: f.outcome for f in findings(loaded) if f.target and f.organ is None}
    assert outcomes["medsam"] == "can't tell"


def test_a_diverged_seed_of_three_is_named_and_the_others_stay(tmp_path: Path):
    run = make_scored_run(tmp_path / "run")
    diverge(run, "nnunet", 1)

    loaded = load_run(run)

    assert reasons(run) == {("nnunet", 1): "did not converge: the loss or the gradient is nan at step 7"}
    assert {seed for version, seed in has_scores(loaded) if version == "nnunet"} == {0, 2}
    assert not [line for line in loaded.missing if "nnunet, seed 1" in line and "scores" in line]


def test_a_network_that_misses_a_common_organ_in_every_case_that_has_it_failed(tmp_path: Path):
    run = make_scored_run(tmp_path / "run")
    predict_nothing(scores_file(run, "medsam", 2), AORTA)

    assert reasons(run) == {("medsam", 2): "predicts aorta in none of the 5 held-out cases that have it"}


def test_all_organs_of_a_target_count_but_only_the_common_ones_in_domain(tmp_path: Path):
    run = make_scored_run(tmp_path / "run")
    plan = json.loads((run / "plan.json").read_text(encoding="utf-8"))
    write_json(run / "plan.json", {**plan, "common_labels": {"word": [1, 2]}})
    predict_nothing(scores_file(run, "base", 0), AORTA)
    predict_nothing(scores_file(run, "base", 0, TARGET), AORTA)

    assert [(n.target, n.version, n.seed) for n in load_run(run).failed_networks] == [(TARGET, "base", 0)]


@pytest.mark.parametrize(("having", "failed"), [(1, False), (2, False), (3, True)])
def test_an_organ_counts_where_three_held_out_cases_have_it(tmp_path: Path, having: int, *, failed: bool):
    run = make_scored_run(tmp_path / "run", seeds=(0,))
    absent = [f"case_{4 + i}" for i in range(having, 5)]
    file = scores_file(run, "medsam", 0)
    remove_organ(file, AORTA & pl.col("case").is_in(absent))
    predict_nothing(file, AORTA & ~pl.col("case").is_in(absent))

    assert (("medsam", 0) in reasons(run)) == failed


def test_of_two_held_out_cases_both_must_have_the_organ(tmp_path: Path):
    run = make_scored_run(tmp_path / "run", seeds=(0,), held_out=2)
    for version, absent in (("nnunet", ["case_5"]), ("medsam", [])):
        file = scores_file(run, version, 0)
        remove_organ(file, AORTA & pl.col("case").is_in(absent))
        predict_nothing(file, AORTA & ~pl.col("case").is_in(absent))

    assert reasons(run) == {("medsam", 0): "predicts aorta in none of the 2 held-out cases that have it"}


def test_cases_that_could_not_be_predicted_say_nothing_about_an_organ(tmp_path: Path):
    run = make_scored_run(tmp_path / "run", seeds=(0,))
    file = scores_file(run, "medsam", 0)
    predict_nothing(file, AORTA)
    put(file, pl.read_parquet(file).filter(pl.col("case").is_in(["case_4", "case_5"])))

    assert reasons(run) == {}


def test_an_organ_that_neither_has_does_not_save_a_network_that_finds_nothing(tmp_path: Path):
    # Under flare21 an organ that is in neither label map scores 1: two absent ones of three give Dice 0.67.
    run = make_scored_run(tmp_path / "run", seeds=(0,))
    file = scores_file(run, "medsam", 0)
    predict_elsewhere(file)
    remove_organ(file, pl.col("label") > 1)

    assert reasons(run) == {("medsam", 0): "has Dice 0.0 on the held-out cases, below the floor of 5"}


def test_a_poor_network_is_none_that_failed(tmp_path: Path):
    run = make_scored_run(tmp_path / "run", seeds=(0,))
    file = scores_file(run, "medsam", 0)
    put(file, pl.read_parquet(file).with_columns(dice=pl.lit(0.051)))

    assert reasons(run) == {}
