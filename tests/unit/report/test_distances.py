"""Distances in the report: measured on a real run folder, and absent where a study does not measure them."""

from pathlib import Path

import polars as pl
import pytest
from helpers.reports import has_nan, make_report, visible_text
from helpers.runs import CASES, HELD_OUT, ORGANS, SHIFTS, make_run

from coordinator.scoring.folders import score_folders
from coordinator.scoring.settings import Scoring


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder whose study measures distances."""
    run = make_run(tmp_path)
    (run / "study.yaml").write_text(
        (run / "study.yaml").read_text(encoding="utf-8") + "score: {distances: true}\n", encoding="utf-8"
    )
    places = {f"datasets/word/2-labels/{v}": (f"datasets/word/3-scores/{v}.parquet", v) for v in SHIFTS} | {
        f"datasets/word/6-predictions/{v}/seed-0": (f"datasets/word/6-predictions/{v}/seed-0/scores.parquet", v)
        for v in ("base", *SHIFTS)
    }
    for place, (file, version) in places.items():
        frame = score_folders(run / "datasets/word/2-labels/base", run / place, ORGANS, Scoring(1.0, distances=True))
        names = [pl.lit("word").alias("dataset"), pl.lit(version).alias("version")]
        frame.with_columns(*names, *([pl.lit(0).alias("seed")] if "6-" in place else [])).write_parquet(run / file)
    return run


def test_label_versions_and_networks_have_tables_in_all_three_forms(run: Path):
    out = make_report(run)

    for name, versions, cases in (("labels", [*SHIFTS], CASES), ("networks", ["base", *SHIFTS], HELD_OUT)):
        frame = pl.read_csv(out / f"tables/distances-{name}.csv")
        raw = pl.concat([
            pl.read_parquet(run / (f"datasets/word/3-scores/{v}.parquet" if name == "labels" else f"datasets/word/6-predictions/{v}/seed-0/scores.parquet"))
            for v in versions
        ])  # fmt: skip
        worst = raw.filter(pl.col("version") == "medsam")
        row = frame.filter(pl.col("version") == "medsam").row(0, named=True)
        assert frame["version"].to_list() == versions
        # All organs have as many cases, so the mean of means is the mean.
        assert row["hd95_mm"] == pytest.approx(worst["hd95_mm"].mean(), abs=1e-5)
        assert row["assd_mm_median"] == pytest.approx(worst["assd_mm"].median(), abs=1e-5)
        assert row["n"] == len(cases) * len(ORGANS)
        markdown = (out / f"tables/distances-{name}.md").read_text(encoding="utf-8")
        assert f"| word | medsam | {row['hd95_mm']:.1f} ({row['hd95_mm_median']:.1f}) |" in markdown
        assert "compare rows of the same n" in markdown
        assert r"\toprule" in (out / f"tables/distances-{name}.tex").read_text(encoding="utf-8")
    assert "Distances between surfaces" in visible_text(out / "index.html")


def test_an_organ_that_a_version_lacks_is_counted_and_is_no_infinite_mean(run: Path):
    file = run / "datasets/word/3-scores/medsam.parquet"
    missed = (pl.col("case") == "case_1") & (pl.col("organ") == "aorta")
    pl.read_parquet(file).with_columns(
        pl.when(missed).then(float("inf")).otherwise(pl.col("hd95_mm")).alias("hd95_mm"),
        pl.when(missed).then(float("inf")).otherwise(pl.col("assd_mm")).alias("assd_mm"),
        pl.when(missed).then(0).otherwise(pl.col("prediction_voxels")).alias("prediction_voxels"),
    ).write_parquet(file)

    out = make_report(run)

    row = pl.read_csv(out / "tables/distances-labels.csv").filter(pl.col("version") == "medsam").row(0, named=True)
    assert (row["n"], row["only_reference"]) == (14, 1)
    assert not has_nan(out)


def test_a_study_that_measures_no_distances_has_no_such_table(tmp_path: Path):
    out = make_report(make_run(tmp_path))

    assert not list((out / "tables").glob("distances-*"))
    assert "Distances between surfaces" not in visible_text(out / "index.html")
