"""Tables of scores: what is marked, and what a mark means."""

from pathlib import Path

import polars as pl
from helpers.runs import make_run

from coordinator.report.tables import label_quality_table
from coordinator.results.load import load_run
from coordinator.results.summaries import compute_results


def test_all_that_show_the_highest_mean_are_bold(tmp_path: Path):
    """A difference of 0.001 points is in no table, so the mark must not show it either."""
    run = make_run(tmp_path)
    best = pl.read_parquet(run / "datasets/word/3-scores/nnunet.parquet")
    twin = best.with_columns(pl.lit("totalseg").alias("version"), pl.col("dice") - 0.00001)
    twin.write_parquet(run / "datasets/word/3-scores/totalseg.parquet")

    loaded = load_run(run)
    table = label_quality_table(loaded, compute_results(loaded))

    bold = {row.head for row in table.rows if row.metric == "Dice" and row.cells[0].best}
    assert bold == {"nnunet ‡ §", "totalseg"}
    assert any("no test says that it is the best" in note for note in table.notes)
