"""Organs that a map lacks: whose rule it is, and how much of a mean it makes."""

from pathlib import Path

import polars as pl
from helpers.runs import make_run

from coordinator.report.emptymasks import describe_empty_masks
from coordinator.report.methods import write_methods
from coordinator.results.load import load_run
from coordinator.study.settings import ScoreSettings

NONE_STATED = (
    "Jaus et al. (2025) state neither a rule for empty masks nor a tolerance of Surface Dice: both are this study's."
)


def make_absent(file: Path, case: str) -> None:
    """Let neither map have the aorta in a case."""
    frame = pl.read_parquet(file)
    absent = (pl.col("case") == case) & (pl.col("organ") == "aorta")
    columns = ("reference_voxels", "prediction_voxels")
    frame.with_columns(pl.when(absent).then(0).otherwise(pl.col(c)).alias(c) for c in columns).write_parquet(file)


def test_the_report_says_that_the_paper_has_no_rule_and_how_many_scores_ours_decides(tmp_path: Path):
    run = make_run(tmp_path)
    for version in ("nnunet", "medsam", "totalseg"):
        make_absent(run / f"datasets/word/3-scores/{version}.parquet", "case_1")
    make_absent(run / "datasets/word/6-predictions/base/seed-0/scores.parquet", "case_3")

    loaded = load_run(run)

    text = describe_empty_masks(loaded)
    assert text.startswith("flare21 (FLARE21 challenge). An organ that neither map has counts as 1;")
    assert NONE_STATED in text
    # Four versions of five cases and three organs; five networks of three held-out cases.
    assert text.endswith(
        "In 3 of 60 scores of label versions and 1 of 45 scores of networks, neither map has the organ."
    )
    assert text in write_methods(loaded).paragraphs[1]


def test_a_study_in_which_every_organ_is_somewhere_says_so(tmp_path: Path):
    assert describe_empty_masks(load_run(make_run(tmp_path))).endswith("No score is of an organ that neither map has.")


def test_a_study_without_scores_counts_none(tmp_path: Path):
    run = make_run(tmp_path)
    for file in run.rglob("*.parquet"):
        file.unlink()

    assert describe_empty_masks(load_run(run)).endswith(NONE_STATED)


def test_the_default_is_the_rule_that_decision_5_chose():
    assert ScoreSettings().empty == "flare21"
