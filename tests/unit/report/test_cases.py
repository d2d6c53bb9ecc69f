"""The case table."""

from pathlib import Path

import polars as pl
import pytest
from helpers.reports import has_nan, make_report
from helpers.runs import make_run

from coordinator.report.cases import case_table
from coordinator.results.cases import case_scores
from coordinator.results.load import load_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path)


def test_a_case_in_which_no_organ_counts_has_a_dash(run: Path):
    frame = pl.read_parquet(run / "datasets/word/3-scores/nnunet.parquet")
    nothing = pl.when(pl.col("case") == "case_1")
    frame = frame.with_columns(
        *(nothing.then(0).otherwise(pl.col(c)).alias(c) for c in ("reference_voxels", "prediction_voxels")),
        *(nothing.then(float("nan")).otherwise(pl.col(c)).alias(c) for c in ("dice", "surface_dice")),
    )
    frame.write_parquet(run / "datasets/word/3-scores/nnunet.parquet")
    (run / "study.yaml").write_text("name: demo-study\nscore: {empty: raw}\ntrain: {epochs: 8}\n", encoding="utf-8")
    loaded = load_run(run)

    table = case_table(loaded, loaded.datasets[0], case_scores(loaded, loaded.datasets[0]))

    assert table is not None
    assert {case: numbers[0] for case, _, numbers in table.rows}["case_1"] is None
    assert not has_nan(make_report(run))
