"""A report counts no result that changed, is of an earlier plan, or lacks planned cases, without saying so."""

import json
from pathlib import Path

import polars as pl
import pytest
from helpers.runs import make_run, write_json

from coordinator.engine import outputs
from coordinator.results.load import load_run

SCORES = "datasets/word/3-scores/medsam.parquet"
STEP = "datasets/word/3-scores/medsam"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with a plan and a record of one scoring step."""
    run = make_run(tmp_path)
    plan = json.loads((run / "plan.json").read_text())
    plan["steps"] = [{"id": STEP, "output": SCORES}]
    write_json(run / "plan.json", plan)
    outputs.save_record(run, STEP, outputs.Record({}, {}, outputs.mark_files(run, {SCORES: None})))
    return run


def test_scores_that_are_as_they_were_written_count(run: Path):
    loaded = load_run(run)

    assert "medsam" in loaded.label_scores["version"].unique()
    assert not any("medsam" in line for line in loaded.missing)


def test_scores_that_were_overwritten_are_missing_with_the_reason(run: Path):
    pl.read_parquet(run / SCORES).with_columns(dice=pl.lit(1.0)).write_parquet(run / SCORES)

    loaded = load_run(run)

    assert "medsam" not in loaded.label_scores["version"].unique()
    line = next(line for line in loaded.missing if line.startswith("word: scores of the labels of medsam"))
    assert SCORES in line
    assert line.endswith("run the study again, which makes it again")


def test_scores_of_a_step_that_was_not_done_are_of_an_earlier_plan_and_do_not_count(run: Path):
    write_json(run / "failures.json", {"steps": {STEP: "not run"}})

    loaded = load_run(run)

    assert "medsam" not in loaded.label_scores["version"].unique()
    assert "word: scores of the labels of medsam: the step was not done" in loaded.missing


def test_a_planned_case_without_score_and_reason_is_named(run: Path):
    file = run / "datasets/word/3-scores/nnunet.parquet"
    pl.read_parquet(file).filter(pl.col("case") != "case_1").write_parquet(file)

    assert (
        "word: scores of the labels of nnunet lack 1 of 5 planned cases, with no reason: case_1"
        in load_run(run).missing
    )


def test_a_case_that_its_tool_recorded_as_failed_is_no_gap_in_the_scores(run: Path):
    file = run / "datasets/word/3-scores/nnunet.parquet"
    pl.read_parquet(file).filter(pl.col("case") != "case_1").write_parquet(file)
    status = {"case": "case_1", "state": "failed", "reason": "no memory"}
    (run / "datasets/word/1-raw/nnunet/status.jsonl").write_text(json.dumps(status) + "\n")

    loaded = load_run(run)

    assert not any("lack" in line for line in loaded.missing)
    assert loaded.failures["case"].to_list() == ["case_1"]


def test_a_held_out_case_without_test_score_is_named(run: Path):
    file = run / "datasets/word/6-predictions/base/seed-0/scores.parquet"
    pl.read_parquet(file).filter(pl.col("case") != "case_3").write_parquet(file)

    assert any(
        line.endswith("trained on base, seed 0 lack 1 of 3 planned cases, with no reason: case_3")
        for line in load_run(run).missing
    )


def test_scores_of_predictions_count_without_these(run: Path):
    folder = "datasets/word/6-predictions/medsam/seed-0"
    plan = json.loads((run / "plan.json").read_text())
    plan["steps"] += [{"id": folder, "output": folder}, {"id": "scores", "output": f"{folder}/scores.parquet"}]
    write_json(run / "plan.json", plan)
    (run / folder / "case_4.nii.gz").write_bytes(b"a label map")
    marks = outputs.mark_files(run, {f"{folder}/case_4.nii.gz": None})
    outputs.save_record(run, folder, outputs.Record({}, {}, marks))
    (run / folder / "case_4.nii.gz").unlink()

    loaded = load_run(run)

    assert "medsam" in loaded.model_scores["version"].unique()
