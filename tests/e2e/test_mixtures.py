"""How many cases are worth correcting? A study with mixtures, as its user runs it: with one split, and in folds."""

from html import unescape
from pathlib import Path

import polars as pl
import pytest
from helpers.balls import EXPERT, make_balls
from helpers.studies import read_contents, run_coordinator

from coordinator.results import Run, load_run
from coordinator.verdict.decide import findings
from coordinator.verdict.mixtures import find_curves

STUDY = """
name: {name}
datasets: [balls]
versions: [{{name: expert, labels: {labels}}}]
reference: expert
mix: {{name: corrected, better: expert, shares: [0.5]}}
train:
  epochs: {epochs}
  batches_per_epoch: {batches}
  batch_size: 4
  patch: "16,16,8"
  filters: "6,12,24"
  learning_rate: 1.0e-2
  {further}
  options: {{augment: false, validation-patches: 0}}
run: {{runtime: process, threads: 1}}
"""


def run_study(folder: Path, name: str, further: str, *, epochs: int, batches: int) -> Path:
    """Run a study of the dataset beside it; returns the run folder."""
    text = STUDY.format(name=name, labels=EXPERT, further=further, epochs=epochs, batches=batches)
    (folder / f"{name}.yaml").write_text(text)
    done = run_coordinator("run", folder / f"{name}.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "runs" / name


def verdict(run: Run) -> str:
    return next(finding.outcome for finding in findings(run) if finding.organ is None)


@pytest.mark.long
@pytest.mark.venvs
def test_mixtures_in_folds_are_trained_tested_and_reported_and_done_once(tmp_path: Path) -> None:
    make_balls(tmp_path / "data" / "balls", cases=5, corrected=4)

    run = run_study(tmp_path, "quick", "folds: 2\n  seeds: [0]", epochs=1, batches=2)
    before = read_contents(run)
    again = run_coordinator("run", tmp_path / "quick.yaml")

    loaded, page = load_run(run), unescape((run / "report" / "index.html").read_text())
    networks = pl.concat([loaded.model_scores, loaded.mix.scores], how="diagonal_relaxed")
    tested = networks.group_by("version").agg(pl.col("case").n_unique(), pl.col("fold").n_unique()).sort("version")
    assert loaded.missing == ()
    assert tested.rows() == [("base", 4, 2), ("corrected-random-50", 4, 2), ("expert", 4, 2)]
    assert loaded.mix.cases.group_by("fold").len()["len"].to_list() == [1, 1]
    assert "Each case was held out once, in 2 folds drawn at random (balls: 4 cases)" in page
    assert "random: can't tell; with one draw, another may change the network by as much." in page
    assert "steps are done" in again.stdout
    assert read_contents(run) == before


@pytest.mark.long
@pytest.mark.venvs
def test_the_curve_has_the_order_of_the_truth_and_folds_tell_what_one_split_can_not(tmp_path: Path) -> None:
    make_balls(tmp_path / "data" / "balls", cases=12, corrected=8)

    split = load_run(run_study(tmp_path, "split", "seeds: [0, 1]", epochs=3, batches=30))
    folds = load_run(run_study(tmp_path, "folds", "folds: 3\n  seeds: [0, 1]", epochs=3, batches=30))

    assert (split.missing, folds.missing) == ((), ())
    assert split.label_scores["case"].n_unique() == 8
    assert (verdict(split), verdict(folds)) == ("can't tell", "worth it")
    for run in (split, folds):
        (curve,) = find_curves(run)
        half, whole = curve.points
        assert 0 < half.gain < whole.gain
