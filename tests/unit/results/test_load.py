"""A run folder is read whatever is missing in it."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from helpers.runs import make_run, plan, write_json

from contract.errors import UsageError
from coordinator.results.load import load_run
from coordinator.results.run import FAILURES, LABEL_SCORES, MODEL_SCORES, TRAINING_LOGS, Run
from coordinator.results.summaries import compute_results
from coordinator.statistics import organ_table, summary
from coordinator.verdict.decide import findings


@pytest.fixture
def planned(tmp_path: Path) -> Run:
    """A run that was planned, and of which nothing is done."""
    write_json(tmp_path / "plan.json", plan(tmp_path))
    (tmp_path / "study.yaml").write_text("name: demo-study\n", encoding="utf-8")
    return load_run(str(tmp_path))


def test_frames_of_a_run_without_results_have_their_columns(planned: Run) -> None:
    columns = [f.columns for f in (planned.label_scores, planned.model_scores, planned.training_logs, planned.failures)]

    assert columns == [list(schema) for schema in (LABEL_SCORES, MODEL_SCORES, TRAINING_LOGS, FAILURES)]


def test_a_run_without_results_has_empty_tables_and_no_findings(planned: Run) -> None:
    assert organ_table(planned.label_scores, planned.score.empty).height == 0
    assert summary(planned.model_scores, planned.score.empty, planned.common_labels).height == 0
    assert findings(planned) == []


def test_a_run_shows_as_one_line(planned: Run) -> None:
    assert repr(planned) == (
        "<Run demo-study: word; nnunet, medsam, totalseg, stunet-base; 0 label scores, 0 model scores, 0 epochs; "
        "0 failed cases, 0 failed networks, 0 failed steps, 14 results missing>"
    )


@pytest.mark.parametrize(
    ("file", "reason"), [("study.yaml", "has no plan.json; check"), ("plan.json", "has no study.yaml; check")]
)
def test_what_is_missing_in_a_folder_that_is_no_run_is_named(tmp_path: Path, file: str, reason: str) -> None:
    (tmp_path / file).write_text("{}", encoding="utf-8")

    with pytest.raises(UsageError, match=f"must hold study.yaml and plan.json, but {reason}"):
        load_run(tmp_path)


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    """A run of seed 0 whose networks on the reference labels also have the seeds 5 and 6; that of 6 is not done."""
    run = make_run(tmp_path)
    about = json.loads((run / "plan.json").read_text(encoding="utf-8"))
    about |= {"noise_seeds": [5, 6], "transfer": ["segthor"], "labels": {**about["labels"], "segthor": {"1": "aorta"}}}
    about["split"]["segthor"] = about["split"]["word"]
    write_json(run / "plan.json", about)
    for folder in ("datasets/word", "transfer/segthor/word"):
        for version, seed in (("base", 0), ("base", 5), ("medsam", 0)):
            place = run / folder / f"6-predictions/{version}/seed-{seed}"
            place.mkdir(parents=True, exist_ok=True)
            first = pl.read_parquet(run / f"datasets/word/6-predictions/{version}/seed-0/scores.parquet")
            worse = first.with_columns(pl.lit(seed).alias("seed"), pl.col("dice", "surface_dice") - 0.01 * seed)
            worse.write_parquet(place / "scores.parquet")
    shutil.copytree(run / "datasets/word/5-models/base/seed-0", run / "datasets/word/5-models/base/seed-5")
    return run


def seeds(frame: pl.DataFrame, version: str) -> list[int]:
    return sorted(frame.filter(pl.col("version") == version)["seed"].unique())


def test_networks_that_show_the_noise_of_seeds_are_read_with_all_others(noisy: Path) -> None:
    run = load_run(noisy)

    assert (run.seeds, run.noise_seeds) == ((0,), (5, 6))
    assert (seeds(run.model_scores, "base"), seeds(run.model_scores, "medsam")) == ([0, 5], [0])
    assert seeds(run.training_logs, "base") == [0, 5]
    assert seeds(run.transfers[0].scores, "base") == [0, 5]


def test_a_missing_network_of_a_noise_seed_is_named(noisy: Path) -> None:
    missing = load_run(noisy).missing

    assert "word: test scores of the network trained on base, seed 6" in missing
    assert "word to segthor: test scores of the network trained on base, seed 6" in missing
    assert not any("seed 5" in line and "test scores" in line for line in missing)
    assert not any("medsam, seed 6" in line for line in missing)


def test_the_mean_of_the_reference_labels_is_over_all_of_their_seeds(noisy: Path) -> None:
    with_noise = load_run(noisy)
    about = json.loads((noisy / "plan.json").read_text(encoding="utf-8"))
    write_json(noisy / "plan.json", {**about, "noise_seeds": []})
    without = load_run(noisy)

    means = [compute_results(run).model("word", "base") for run in (with_noise, without)]
    # Seed 5 is worse by 0.05, and is one of two.
    assert means[0] is not None and means[1] is not None
    assert means[0].dice == pytest.approx(means[1].dice - 0.025)
    rows = compute_results(with_noise).model_summary.select("version", "seeds").rows()
    assert ("base", 2) in rows and ("medsam", 1) in rows


def test_a_plan_of_an_earlier_version_has_no_noise_seeds(planned: Run) -> None:
    assert (planned.seeds, planned.noise_seeds) == ((0,), ())
