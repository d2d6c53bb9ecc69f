"""Scores case by case."""

import json
from pathlib import Path

import polars as pl
import pytest
from helpers.runs import make_run, write_json

from coordinator.results.cases import case_scores
from coordinator.results.load import load_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path)


def test_a_case_s_dice_is_the_mean_over_its_common_organs_that_count(run: Path):
    frame = pl.DataFrame(
        {
            "dataset": "word", "version": "nnunet", "case": "a", "label": [1, 2, 3], "organ": ["liver", "spleen", "aorta"],
            "dice": [0.9, 0.5, float("nan")], "surface_dice": [0.8, 0.4, float("nan")],
            "reference_voxels": [9, 9, 0], "prediction_voxels": [9, 9, 0],
        }
    )  # fmt: skip
    write_json(run / "plan.json", {**json.loads((run / "plan.json").read_text()), "common_labels": {"word": [1, 3]}})
    (run / "study.yaml").write_text("name: demo-study\nscore: {empty: raw}\n", encoding="utf-8")
    frame.write_parquet(run / "datasets/word/3-scores/nnunet.parquet")
    loaded = load_run(run)

    row = case_scores(loaded, loaded.datasets[0]).filter((pl.col("version") == "nnunet") & (pl.col("what") == "labels"))

    assert row.rows() == [("labels", "nnunet", None, "a", 0.9, 0.8, 1)]
