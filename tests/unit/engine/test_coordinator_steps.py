"""The coordinator's own steps: outputs that are published together, and cases that fail alone."""

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl
import pytest

from contract.errors import CaseError
from contract.records import CaseStatus, read_run, read_statuses, write_statuses
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


def join_step(run: Path) -> None:
    """A plan that takes case 0 from fold 0, and case 1 from fold 1."""
    for fold in range(2):
        for version in ("1-raw", "2-labels"):
            folder = run / f"word/folds/{fold}/{version}/v"
            folder.mkdir(parents=True)
            for case in range(2):
                labels = np.full((16, 14, 12), fold + 1, np.uint8)
                nib.save(nib.Nifti1Image(labels, np.diag([2, 1.5, 3, 1])), folder / f"case_{case}.nii.gz")
    parts = [
        {"labels": f"word/folds/{n}/2-labels/v", "raw": f"word/folds/{n}/1-raw/v", "cases": [f"case_{n}"]}
        for n in range(2)
    ]
    step = Step(
        id="j", kind="join", output="word/2-labels/j", dataset="word", label_version="v", fingerprint="x",
        settings={"folds": parts},
    )  # fmt: skip
    (run / PLAN).write_text(plan_text(Plan("s", "data", None, (step,), {})))


def test_joined_labels_are_of_each_case_those_of_its_fold(run: Path):
    join_step(run)

    code = execute(run, "j")

    assert code == 0
    files = sorted((run / "word/2-labels/j").glob("*.nii.gz"))
    assert [file.name for file in files] == ["case_0.nii.gz", "case_1.nii.gz"]
    assert [int(nib.load(file).dataobj[0, 0, 0]) for file in files] == [1, 2]
    assert set(read_run(run / "word/2-labels/j")["outputs"]) == {file.name for file in files}


@pytest.mark.parametrize("where", ["1-raw", "2-labels"])
def test_a_case_that_failed_in_its_fold_is_named_with_the_reason_and_one_that_failed_elsewhere_is_not(
    run: Path, where: str
):
    join_step(run)
    failed = CaseStatus.failed("case_1", CaseError("too dark"))
    for fold in range(2):
        write_statuses(run / f"word/folds/{fold}/{where}/v", {"case_1": failed})
        (run / f"word/folds/{fold}/2-labels/v/case_1.nii.gz").unlink()
    write_statuses(run / f"word/folds/1/{where}/v", {"case_0": replace(failed, case="case_0"), "case_1": failed})

    code = execute(run, "j")

    assert code == 0
    assert {case: str(status.reason) for case, status in read_statuses(run / "word/2-labels/j").items()} == {
        "case_1": "too dark",
    }  # fmt: skip
    assert [file.name for file in (run / "word/2-labels/j").glob("*.nii.gz")] == ["case_0.nii.gz"]


def test_a_label_map_that_is_gone_without_a_reason_is_not_passed_over(run: Path):
    join_step(run)
    (run / "word/folds/1/2-labels/v/case_1.nii.gz").unlink()

    code = execute(run, "j")

    assert code == 1
    assert "folds/1/2-labels/v: must hold a label map of every case that did not fail, but lacks case_1" in (
        failure_file(run, "j").read_text()
    )
