"""What is deleted, overwritten or replaced below a study is noticed by the command line, said, and made again."""

import json
import subprocess
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl
import pytest
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


def test_an_image_and_the_study_file_that_are_replaced_while_a_study_runs_are_noticed(tmp_path: Path):
    make_phantom(tmp_path / "data/phantom", cases=3, shape=(32, 28, 12))
    study, run = write_study(tmp_path), tmp_path / "runs/changing"
    image = tmp_path / "data/phantom/images/phantom_001.nii.gz"
    running = subprocess.Popen([COORDINATOR, "run", study], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (run / ".steps/inputs.files").exists():
        time.sleep(0.01)
    volume = nib.load(image)
    nib.save(nib.Nifti1Image(np.asarray(volume.dataobj) + np.int16(5), volume.affine, volume.header), image)
    write_study(tmp_path, tolerance=2)

    out, err = running.communicate()

    assert running.returncode == 0, out + err
    assert "files were replaced while steps ran" in out
    assert "was changed while the study ran" in out
    read = json.loads((run / "phantom/1-raw/degraded/run.json").read_text())["cases"]["phantom_001"]["input_sha256"]
    assert read == file_sha256(image)


def test_deleted_results_are_made_again_before_scores_of_another_tolerance(tmp_path: Path):
    make_phantom(tmp_path / "data/phantom", cases=3, shape=(32, 28, 12))
    run = tmp_path / "runs/changing"
    assert run_coordinator("run", write_study(tmp_path)).returncode == 0
    lost = [run / "phantom/1-raw/degraded/phantom_000.nii.gz", run / "phantom/2-labels/degraded/phantom_001.nii.gz"]
    before = [file.read_bytes() for file in lost]
    for file in (*lost, run / "report/index.html"):
        file.unlink()

    done = run_coordinator("run", write_study(tmp_path, tolerance=1))

    assert done.returncode == 0, done.stdout + done.stderr
    assert all(f"{file.relative_to(run)}: is missing" in done.stdout for file in lost)
    assert [file.read_bytes() for file in lost] == before
    scores = pl.read_parquet(run / "phantom/3-scores/degraded.parquet")
    assert scores["case"].unique().sort().to_list() == ["phantom_000", "phantom_001", "phantom_002"]
    assert (run / "report/index.html").is_file()
