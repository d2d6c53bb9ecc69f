"""Names that users give: cases and datasets that are called as nobody expects, from the study file to the report."""

from pathlib import Path

import polars as pl
import pytest
from helpers.studies import run_coordinator

from coordinator.datasets.phantom import make_phantom

pytestmark = pytest.mark.venvs

CASES = ("Patient 02", "Größe, 4", "-case_06", "@$HOME_{16}$x$ 'q' [8] #%")
DATASETS = ("report", "logs", "plan.json", "todo", "x.failed")


def test_a_study_of_oddly_named_cases_and_datasets_loses_none_and_is_done_once(tmp_path: Path) -> None:
    for number, name in enumerate(DATASETS):
        make_phantom(tmp_path / "data" / name, cases=4, seed=number, shape=(16, 14, 8))
        for kind in ("images", "labels"):
            for old, new in zip(sorted((tmp_path / "data" / name / kind).iterdir()), CASES, strict=True):
                old.rename(old.with_name(f"{new}.nii.gz"))
    (tmp_path / "study.yaml").write_text(
        f"name: odd\ndatasets: [{', '.join(DATASETS)}]\ngenerators: [degrade]\nrun: {{runtime: process, threads: 1}}\n"
    )

    first = run_coordinator("run", tmp_path / "study.yaml")
    results = {str(p): p.read_bytes() for p in (tmp_path / "runs/odd/datasets").rglob("*") if p.is_file()}
    second = run_coordinator("run", tmp_path / "study.yaml")

    assert (first.returncode, first.stderr) == (0, "")
    assert (second.returncode, second.stderr) == (0, "")
    assert "all 20 steps are done" in second.stdout
    assert {str(p): p.read_bytes() for p in (tmp_path / "runs/odd/datasets").rglob("*") if p.is_file()} == results
    for name in DATASETS:
        scores = pl.read_parquet(tmp_path / "runs/odd/datasets" / name / "3-scores/degrade.parquet")
        assert sorted(set(scores["case"])) == sorted(CASES)
    page = (tmp_path / "runs/odd/report/index.html").read_text(encoding="utf-8")
    assert "no overlay of" not in page
    assert "Größe, 4" in page
