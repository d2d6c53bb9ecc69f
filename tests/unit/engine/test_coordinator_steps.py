"""The scoring step: one reading of the files, two outputs, published together."""

import signal
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl
import pytest

from coordinator.engine.execute import execute
from coordinator.scoring.folders import score_folders
from coordinator.scoring.settings import Scoring
from coordinator.study.steps import PLAN, Plan, Step, plan_text

ORGANS = {1: "liver", 2: "spleen"}
SCORES, SHELLS = "word/3-scores/v.parquet", "word/3-scores/shells/v.parquet"


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    """A run folder with label maps of two cases and a plan to score them."""
    handler = signal.getsignal(signal.SIGTERM)
    for case in range(2):
        labels = np.zeros((16, 14, 12), np.uint8)
        labels[2:9, 3:10, 2:9], labels[11:14, 4:9, 3 + case : 8] = 1, 2
        for version, label_map in (("base", labels), ("v", np.roll(labels, 1, axis=0))):
            folder = tmp_path / "word/2-labels" / version
            folder.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(label_map, np.diag([2, 1.5, 3, 1])), folder / f"case_{case}.nii.gz")
    step = Step(
        id="word/3-scores/v", kind="score", output=SCORES, dataset="word", label_version="v", fingerprint="x",
        also=(SHELLS,),
        settings={
            "reference": "word/2-labels/base", "prediction": "word/2-labels/v", "scoring": Scoring().as_json(),
        },
    )  # fmt: skip
    about = {"labels": {"word": {str(label): organ for label, organ in ORGANS.items()}}}
    (tmp_path / PLAN).write_text(plan_text(Plan("s", "data", None, (step,), about)))
    yield tmp_path
    signal.signal(signal.SIGTERM, handler)


def test_scores_have_the_bytes_that_they_had_before_there_were_shells(run: Path):
    code = execute(run, "word/3-scores/v")

    alone = score_folders(run / "word/2-labels/base", run / "word/2-labels/v", ORGANS)
    names = [pl.lit("word").alias("dataset"), pl.lit("v").alias("version"), pl.all()]
    alone.select(names).write_parquet(run / "alone.parquet")
    assert code == 0
    assert (run / SCORES).read_bytes() == (run / "alone.parquet").read_bytes()
    shells = pl.read_parquet(run / SHELLS)
    assert shells.select("dataset", "version").unique().rows() == [("word", "v")]
    assert shells.group_by("case", "organ").len().height == 4


def test_a_step_that_lost_one_of_its_outputs_is_done_again_to_the_same_bytes(run: Path):
    execute(run, "word/3-scores/v")
    before = {name: (run / name).read_bytes() for name in (SCORES, SHELLS)}
    (run / SHELLS).unlink()

    code = execute(run, "word/3-scores/v")

    assert code == 0
    assert {name: (run / name).read_bytes() for name in before} == before
    assert [path for path in run.rglob("*.part")] == []
