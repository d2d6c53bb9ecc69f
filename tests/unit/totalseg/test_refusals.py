"""Weights that can't be used are refused with the reason: before the package is imported where that is possible."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.pickles import RunsCode

from contract.records import file_sha256
from contract.weights import list_files, record_sums

FAST = "Dataset298_TotalSegmentator_total_6mm_1559subj"
CHECKPOINT = f"{FAST}/nnUNetTrainer_4000epochs_NoMirroring__nnUNetPlans__3d_fullres/fold_0/checkpoint_final.pth"


@pytest.fixture
def changed_weights(standins: Path, tmp_path: Path) -> Callable[[object], Path]:
    """A weights folder in which the checkpoint of the 6 mm model holds something else."""

    def made(content: object) -> Path:
        tool = tmp_path / "weights" / "totalseg"
        shutil.copytree(standins / "totalseg" / FAST, tool / FAST)
        torch.save(content, tool / CHECKPOINT)
        record_sums(tool, {f.relative_to(tool).as_posix(): file_sha256(f) for f in list_files(tool / FAST)})
        return tool.parent

    return made


@pytest.mark.venvs
def test_missing_weights_are_refused_before_the_package_is_imported(run_tool: Callable, tmp_path: Path):
    done = run_tool(tmp_path, "--variant", "3mm", weights=tmp_path / "none", options=("-X", "importtime"))

    message = done.stderr[done.stderr.index("error: ") :]
    assert done.code == 2
    assert message.startswith(
        f"error: {tmp_path}/none/totalseg/Dataset297_TotalSegmentator_total_3mm_1559subj: weights must be there"
    )
    assert "coordinator weights fetch totalseg-3mm" in message
    assert "releases/download/v2.0.0-weights/Dataset297_TotalSegmentator_total_3mm_1559subj.zip" in message
    imported = {
        line.split("|")[-1].strip().split(".")[0]
        for line in done.stderr.splitlines()
        if line.startswith("import time:")
    }
    assert "contract" in imported
    assert not imported & {"torch", "nnunetv2", "totalsegmentator"}
    assert done.attempts == []


@pytest.mark.venvs
def test_a_checkpoint_that_is_a_program_is_refused(run_tool: Callable, changed_weights: Callable, tmp_path: Path):
    weights = changed_weights({"network_weights": {}, "trainer_name": RunsCode(tmp_path / "was-run")})

    done = run_tool(tmp_path, "--variant", "6mm", weights=weights)

    assert done.code == 2, done.stderr
    assert f"{weights.resolve()}/totalseg/{FAST}" in done.stderr
    assert "must be a whole file of tensors, numbers and names alone, but: it holds " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "was-run").exists()
