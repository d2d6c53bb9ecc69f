"""The coordinator's own steps: outputs that are published together, and cases that fail alone."""

import signal
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl
import pytest

from contract.records import read_statuses
from coordinator.engine.execute import execute
from coordinator.scoring.folders import score_folders
from coordinator.scoring.settings import Scoring
from coordinator.study.steps import PLAN, Plan, Step, failure_file, plan_text

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


def remap_step(run: Path) -> Plan:
    """A plan that remaps what label version `v` holds."""
    settings = {"raw": "word/2-labels/v", "to_target": {"1": 2, "2": 1}}
    step = Step(
        id="r",
        kind="remap",
        output="word/2-labels/r",
        dataset="word",
        label_version="r",
        fingerprint="x",
        settings=settings,
    )
    plan = Plan("s", "data", None, (step,), {})
    (run / PLAN).write_text(plan_text(plan))
    return plan


def test_a_case_that_cannot_be_remapped_is_named_and_the_others_are_written(run: Path):
    remap_step(run)
    (run / "word/2-labels/v/case_0.nii.gz").write_bytes(b"no gzip")

    code = execute(run, "r")

    assert code == 0
    assert [file.name for file in (run / "word/2-labels/r").glob("*.nii.gz")] == ["case_1.nii.gz"]
    status = read_statuses(run / "word/2-labels/r")["case_0"]
    assert status.state == "failed"
    assert "v/case_0.nii.gz: file must be gzip" in str(status.reason)


def test_a_step_in_which_no_case_can_be_remapped_fails_with_all_reasons(run: Path):
    remap_step(run)
    for case in range(2):
        (run / f"word/2-labels/v/case_{case}.nii.gz").write_bytes(b"no gzip")

    code = execute(run, "r")

    reason = failure_file(run, "r").read_text()
    assert code == 1
    assert all(f"v/case_{case}.nii.gz: file must be gzip" in reason for case in range(2))
