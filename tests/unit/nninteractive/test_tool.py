"""The tool as it is run: its program, in its own environment, with the stand-in's weights, on a phantom."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.needs import find_tool_python
from helpers.pickles import RunsCode
from helpers.standins import STANDINS
from helpers.storedphantom import STORED, make_stored_phantom
from helpers.surface_oracle import oracle_dice

from contract import LabelMap
from contract.datasets import Dataset
from contract.manifest import load_manifest
from contract.records import file_sha256
from contract.volumes import read_image, read_labels
from contract.weights import record_sums

ROOT = Path(__file__).resolve().parents[3]
CHECKPOINT = "nnInteractive_v1.0/fold_0/checkpoint_final.pth"


@pytest.fixture(scope="module")
def python() -> Path:
    """The tool's own interpreter."""
    return find_tool_python("nninteractive")


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A phantom that the stand-in was not trained on, stored in four ways."""
    return make_stored_phantom(tmp_path_factory.mktemp("data"), shape=(48, 40, 12))


def run_tool(
    python: Path, dataset: Dataset, out: Path, *arguments: str, weights: Path = STANDINS
) -> subprocess.CompletedProcess[str]:
    program = ROOT / "containers" / "nninteractive" / "tool.py"
    command = [
        str(python), str(program), "--dataset", dataset.name, "--data", str(dataset.folder.parent), "--out", str(out),
        "--weights", str(weights), "--min-volume", "8", *arguments,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=False)


def mean_dice(dataset: Dataset, case: str, results: Path) -> float:
    """Over the organs that the reference holds."""
    reference = read_labels(dataset.label(case), read_image(dataset.image(case)))
    result = ras_labels(dataset, case, results)
    return float(np.mean([oracle_dice(reference == i, result == i) for i in np.unique(reference[reference > 0])]))


def ras_labels(dataset: Dataset, case: str, results: Path) -> LabelMap:
    """(X, Y, Z) what was found, turned to RAS+."""
    return read_labels(results / f"{case}.nii.gz", read_image(dataset.image(case)))


def segmented(python: Path, dataset: Dataset, out: Path, cases: Sequence[str], *arguments: str) -> Path:
    done = run_tool(python, dataset, out, "--cases", ",".join(cases), *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return out / dataset.name / "nninteractive-v1"


@pytest.mark.venvs
def test_the_organs_of_a_phantom_are_found_however_it_is_stored(python: Path, phantom: Dataset, tmp_path: Path):
    results = segmented(python, phantom, tmp_path, sorted(STORED))

    scores = {case: mean_dice(phantom, case, results) for case in STORED}
    assert min(scores.values()) >= 0.55, scores  # flipped along any axis: at most 0.3
    upright = {case: ras_labels(phantom, case, results) for case in STORED}
    assert {case: int((labels != upright["ras"]).sum()) for case, labels in upright.items()} == dict.fromkeys(STORED, 0)
    provenance = json.loads((results / "run.json").read_text())
    assert provenance["prompts"] == "ground-truth" and provenance["device"] == "cpu"
    assert {entry["licence"] for entry in provenance["weights"]} == {"CC BY-NC-SA 4.0"}


@pytest.mark.venvs
def test_a_case_gets_the_same_labels_whatever_ran_before_it(python: Path, phantom: Dataset, tmp_path: Path):
    # Boxes so wide that nnInteractive refines with more patches than its regular steps place: it draws the others.
    results = segmented(python, phantom, tmp_path, ["lps", "ras"], "--box-margin", "16")

    assert (ras_labels(phantom, "lps", results) == ras_labels(phantom, "ras", results)).all()


@pytest.mark.venvs
def test_code_in_a_checkpoint_is_never_run(python: Path, phantom: Dataset, tmp_path: Path):
    weights = tmp_path / "weights"
    shutil.copytree(STANDINS / "nninteractive", weights / "nninteractive")
    bad = weights / "nninteractive" / CHECKPOINT
    torch.save({**torch.load(bad, weights_only=True), "log": RunsCode(tmp_path / "made")}, bad)
    record_sums(weights / "nninteractive", {CHECKPOINT: file_sha256(bad)})

    done = run_tool(python, phantom, tmp_path / "out", "--cases", "ras", weights=weights)

    assert done.returncode == 2
    assert "must be a whole file of tensors, numbers and names alone, but: it holds " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "made").exists()


def test_the_weights_ask_for_consent_to_their_licence():
    entries = load_manifest(ROOT / "containers" / "nninteractive").variant("v1").weights

    assert {entry.licence for entry in entries} == {"CC BY-NC-SA 4.0"}
    assert "non-commercial" in (entries[0].terms or "")
