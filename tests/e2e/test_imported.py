"""From a folder as somebody else has laid it out to a report: one import, and a study of it without an edit."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from helpers.reallayouts import write_bids, write_dicom, write_msd, write_nnunet, write_totalsegmentator
from helpers.studies import run_coordinator

from contract.datasets import open_dataset

pytestmark = [pytest.mark.venvs, pytest.mark.samples]


@pytest.mark.parametrize(
    ("write", "folder", "name"),
    [
        (write_nnunet, "Dataset300_Real", "real"),
        pytest.param(write_msd, "Task99_Real", "real", marks=pytest.mark.long),
        pytest.param(
            write_totalsegmentator, "Totalsegmentator_dataset_v201", "totalsegmentator", marks=pytest.mark.long
        ),
        pytest.param(write_bids, "bids", "bids", marks=pytest.mark.long),
        pytest.param(write_dicom, "clinic", "clinic", marks=pytest.mark.long),
    ],
)
def test_a_study_follows_an_import(
    write: Callable[[Path, Path], None], folder: str, name: str, samples: Path, tmp_path: Path
) -> None:
    write(samples, tmp_path / folder)
    (tmp_path / "study.yaml").write_text(
        f"name: follows\ndatasets: [{name}]\ngenerators: [degrade]\nrun: {{runtime: process, threads: 1}}\n"
    )

    imported = run_coordinator("dataset", "import", tmp_path / folder, "--into", tmp_path / "data")
    ended = run_coordinator("run", tmp_path / "study.yaml")

    assert imported.returncode == 0, imported.stderr
    assert ended.returncode == 0, ended.stderr
    scores = pl.read_parquet(tmp_path / "runs" / "follows" / "datasets" / name / "3-scores" / "degrade.parquet")
    assert sorted(set(scores["case"])) == open_dataset(tmp_path / "data", name).cases()
    assert (tmp_path / "runs" / "follows" / "report" / "index.html").is_file()
