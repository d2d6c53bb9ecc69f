"""The table of ranks that depend on the convention: there where the convention decides, nowhere else."""

from pathlib import Path

import polars as pl
import pytest
from helpers.reports import make_report, visible_text
from helpers.runs import SHIFTS, make_run

CAPTION = "Ranks that depend on the convention"


def let_the_convention_decide(run: Path) -> None:
    """One case has no organs; there nnunet, the best elsewhere, finds some all the same, and the others find none."""
    for version in SHIFTS:
        file = run / f"datasets/word/3-scores/{version}.parquet"
        invented = 9 if version == "nnunet" else 0
        dice = 0.0 if invented else float("nan")
        empty = pl.when(pl.col("case") == "case_0")
        pl.read_parquet(file).with_columns(
            empty.then(0).otherwise(pl.col("reference_voxels")).alias("reference_voxels"),
            empty.then(invented).otherwise(pl.col("prediction_voxels")).alias("prediction_voxels"),
            *(empty.then(dice).otherwise(pl.col(metric)).alias(metric) for metric in ("dice", "surface_dice")),
        ).write_parquet(file)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path)


def test_a_rank_that_depends_on_the_convention_is_on_the_page_and_in_the_csv(run: Path):
    let_the_convention_decide(run)

    out = make_report(run)

    text = visible_text(out / "index.html")
    assert CAPTION in text and "This report follows flare21." in text
    ranks = pl.read_csv(out / "tables/rankings.csv").filter(
        (pl.col("ranked") == "labels") & (pl.col("metric") == "dice") & (pl.col("version") == "nnunet")
    )
    by_convention = dict(zip(ranks["convention"], ranks["rank"], strict=True))
    assert (by_convention["totalsegmentator"], by_convention["flare21"]) == (1, 3)  # the invented organs: dropped, or 0
    (row,) = [
        line
        for line in (out / "tables/rankings.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| labels | word | Dice | nnunet |")
    ]
    means = dict(zip(ranks["convention"], ranks["mean"], strict=True))
    assert f"| 3 ({100 * means['flare21']:.1f}) |" in row


def test_the_note_claims_nothing_about_other_cases(run: Path):
    let_the_convention_decide(run)

    text = visible_text(make_report(run) / "index.html")

    assert "no test tells whether other cases would give the same order" in text


def test_ranks_that_no_convention_changes_are_not_shown(run: Path):
    out = make_report(run)

    assert CAPTION not in visible_text(out / "index.html")
    assert list((out / "tables").glob("rankings*")) == []
