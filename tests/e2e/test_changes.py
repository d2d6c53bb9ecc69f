"""What is deleted, overwritten or replaced below a study is noticed by the command line, said, and made again."""

import json
import subprocess
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from helpers.damages import replace_voxels
from helpers.running import wait_until
from helpers.studies import COORDINATOR, run_coordinator

from contract.records import file_sha256
from coordinator.datasets.phantom import make_phantom

pytestmark = pytest.mark.venvs
STUDY = """
name: changing
data: data
datasets: [phantom]
generators: [{{name: degraded, tool: degrade, options: {{target-dice: 0.8}}}}]
score: {{tolerance_mm: {tolerance}}}
run: {{runtime: process, threads: 1}}
"""


def write_study(folder: Path, tolerance: int = 3) -> Path:
    (folder / "study.yaml").write_text(STUDY.format(tolerance=tolerance))
    return folder / "study.yaml"


def start(study: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen([COORDINATOR, "run", study], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def replace_image(file: Path) -> bytes:
    """Put another scan in the place of one; returns the bytes of that one."""
    return replace_voxels(file, lambda hu: hu + np.int16(5))


def test_an_image_that_is_replaced_while_a_study_runs_is_noticed_and_its_steps_are_done_with_the_new_one(
    tmp_path: Path,
):
    make_phantom(tmp_path / "data/phantom", cases=3, shape=(32, 28, 12))
    study, run = write_study(tmp_path), tmp_path / "runs/changing"
    image = tmp_path / "data/phantom/images/phantom_001.nii.gz"
    running = start(study)
    wait_until((run / ".steps/.check.json").exists)
    replace_image(image)

    out, err = running.communicate()

    assert running.returncode == 0, out + err
    assert "files were replaced while steps ran" in out
    read = json.loads((run / "datasets/phantom/1-raw/degraded/run.json").read_text())["cases"]["phantom_001"][
        "input_sha256"
    ]
    assert read == file_sha256(image)


def test_deleted_results_are_made_again_and_a_study_file_that_is_saved_meanwhile_is_named(tmp_path: Path):
    make_phantom(tmp_path / "data/phantom", cases=3, shape=(32, 28, 12))
    run = tmp_path / "runs/changing"
    assert run_coordinator("run", write_study(tmp_path)).returncode == 0
    lost = [
        run / "datasets/phantom/1-raw/degraded/phantom_003.nii.gz",
        run / "datasets/phantom/2-labels/degraded/phantom_001.nii.gz",
    ]
    before = [file.read_bytes() for file in lost]
    for file in (*lost, run / "report/index.html"):
        file.unlink()

    running = start(write_study(tmp_path, tolerance=1))
    wait_until(lambda: "tolerance_mm: 1" in (run / "study.yaml").read_text())
    write_study(tmp_path, tolerance=2)
    out, err = running.communicate()

    assert running.returncode == 0, out + err
    assert all(f"{file.relative_to(run)}: is missing" in out for file in lost)
    assert "study.yaml: was changed while the study ran; these results are of the file as it was" in out
    assert [file.read_bytes() for file in lost] == before
    scores = pl.read_parquet(run / "datasets/phantom/3-scores/degraded.parquet")
    assert set(scores["tolerance_mm"]) == {1.0}

    page = (run / "report/index.html").read_bytes()
    (run / "report/index.html").unlink()
    image = tmp_path / "data/phantom/images/phantom_001.nii.gz"
    kept = replace_image(image)
    assert f"{image}: has other bytes" in run_coordinator("report", run).stderr
    image.write_bytes(kept)
    assert run_coordinator("report", run).stderr == ""
    assert (run / "report/index.html").read_bytes() == page
    assert scores["case"].unique().sort().to_list() == ["phantom_001", "phantom_002", "phantom_003"]
    assert (run / "report/index.html").is_file()
