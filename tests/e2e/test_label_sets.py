"""A study of two sets of labels, as its user runs it: is the expert's correction worth it?"""

import shutil
from html import unescape
from pathlib import Path

import polars as pl
import pytest
from helpers.labelsets import EXPERT, make_relabelled_phantom
from helpers.studies import read_contents, run_coordinator

from contract.datasets import case_names
from coordinator.results import load_run

STUDY = f"""
name: corrected
datasets: [toy]
versions: [{{name: expert, labels: {EXPERT}}}, {{name: second, labels: second}}]
reference: expert
mix: {{name: part, better: expert, shares: [0.5], by: worst}}
train: {{epochs: 1, batches_per_epoch: 2, patch: "16,16,8", filters: "4,8,16", holdout: 0.4, seeds: [0]}}
run: {{runtime: process, threads: 1}}
"""


@pytest.mark.venvs
def test_a_datasets_own_labels_are_compared_with_an_experts_where_there_are_both(tmp_path: Path) -> None:
    make_relabelled_phantom(tmp_path / "data" / "toy", cases=6, corrected=5, shape=(32, 28, 12))
    shutil.copytree(tmp_path / "data" / "toy" / EXPERT, tmp_path / "data" / "toy" / "second")
    (tmp_path / "study.yaml").write_text(STUDY)

    done = run_coordinator("run", tmp_path / "study.yaml")
    run = tmp_path / "runs" / "corrected"
    loaded, page = load_run(run), unescape((run / "report" / "index.html").read_text())
    before = read_contents(run)
    again = run_coordinator("run", tmp_path / "study.yaml")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "expert has labels of 5 of 6 cases; networks are tested and trained on these alone" in done.stderr
    assert (loaded.reference, loaded.versions, loaded.missing) == ("expert", ("base", "second"), ())
    assert loaded.label_scores["case"].unique().sort().to_list() == [f"phantom_{n:03d}" for n in range(1, 6)]
    dice = dict(loaded.label_scores.group_by("version").agg(pl.col("dice").drop_nans().mean()).iter_rows())
    assert 0 < dice["base"] < 0.9 < dice["second"] == 1
    held_out = case_names(run / "datasets" / "toy" / "6-predictions" / "expert" / "seed-0")
    assert len(held_out) == 2
    assert {network.version for network in loaded.failed_networks} == {"expert", "base", "second"}, (
        "two batches teach nothing"
    )
    assert set(loaded.mix.cases["version"]) == {"part-worst-50"}
    assert [network.version for network in loaded.mix.failed_networks] == ["part-worst-50"]
    assert "worst: can't tell; no network on expert has scores." in page
    others = dict(loaded.agreement.group_by("version").agg(pl.col("others_dice").drop_nans().mean()).iter_rows())
    assert others["base"] == pytest.approx(dice["base"]), "the two others are equal"
    assert others["base"] < others["expert"] == others["second"] < 1
    assert "how far does each label version agree with what the others agree on?" in page
    assert "toy, in-domain, expert instead of base: " in page
    assert "The reference labels are the label set expert; base holds the dataset's own labels." in page
    assert "steps are done" in again.stdout
    assert read_contents(run) == before
