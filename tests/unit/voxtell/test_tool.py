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
CHECKPOINT = "voxtell_v1.1/fold_0/checkpoint_final.pth"
PLANS = "voxtell_v1.1/plans.json"


@pytest.fixture(scope="module")
def python() -> Path:
    """The tool's own interpreter."""
    return find_tool_python("voxtell")


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A phantom that the stand-in was not trained on, stored in four ways, without reference labels."""
    dataset = make_stored_phantom(tmp_path_factory.mktemp("data"), shape=(48, 40, 12))
    (dataset.folder / "labels").rename(dataset.folder.parent / "reference")
    return dataset


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A copy of the stand-in that a test may damage."""
    shutil.copytree(STANDINS / "voxtell", tmp_path / "weights" / "voxtell")
    return tmp_path / "weights"


def run_tool(
    python: Path, dataset: Dataset, out: Path, *arguments: str, weights: Path = STANDINS
) -> subprocess.CompletedProcess[str]:
    program = ROOT / "containers" / "voxtell" / "tool.py"
    command = [
        str(python), str(program), "--dataset", dataset.name, "--data", str(dataset.folder.parent), "--out", str(out),
        "--weights", str(weights), *arguments,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=False)


def mean_dice(dataset: Dataset, case: str, results: Path) -> float:
    """Over the organs that the reference holds."""
    reference = read_labels(dataset.folder.parent / "reference" / f"{case}.nii.gz", read_image(dataset.image(case)))
    result = ras_labels(dataset, case, results)
    return float(np.mean([oracle_dice(reference == i, result == i) for i in np.unique(reference[reference > 0])]))


def ras_labels(dataset: Dataset, case: str, results: Path) -> LabelMap:
    """(X, Y, Z) what was found, turned to RAS+."""
    return read_labels(results / f"{case}.nii.gz", read_image(dataset.image(case)))


def segmented(python: Path, dataset: Dataset, out: Path, cases: Sequence[str], *arguments: str) -> Path:
    done = run_tool(python, dataset, out, "--cases", ",".join(cases), *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return out / dataset.name / "voxtell-v1-1"


@pytest.mark.venvs
def test_organs_are_found_by_their_names_without_reference_labels_however_an_image_is_stored(
    python: Path, phantom: Dataset, tmp_path: Path
):
    results = segmented(python, phantom, tmp_path, sorted(STORED))

    scores = {case: mean_dice(phantom, case, results) for case in STORED}
    assert min(scores.values()) >= 0.5, scores
    upright = {case: ras_labels(phantom, case, results) for case in STORED}
    assert {case: int((labels != upright["ras"]).sum()) for case, labels in upright.items()} == dict.fromkeys(STORED, 0)
    provenance = json.loads((results / "run.json").read_text())
    assert provenance["text_prompts"]["kidney_left"] == "left kidney" and provenance["device"] == "cpu"
    assert provenance["prompts"] is None
    assert {entry["licence"] for entry in provenance["weights"]} == {"CC BY-NC-SA 4.0"}


@pytest.mark.venvs
def test_an_organ_gets_another_prompt_or_none(python: Path, phantom: Dataset, tmp_path: Path):
    usual = ras_labels(phantom, "ras", segmented(python, phantom, tmp_path / "usual", ["ras"]))
    option = "spleen=;kidney_left=right kidney;kidney_right=left kidney"

    labels = ras_labels(phantom, "ras", segmented(python, phantom, tmp_path / "other", ["ras"], "--prompts", option))

    spleen, kidney_right, kidney_left = 1, 2, 3
    assert not (labels == spleen).any()
    assert (usual == spleen).any()
    exchanged = [(labels == kidney_left) & (usual == kidney_right), (labels == kidney_right) & (usual == kidney_left)]
    assert min(mask.sum() for mask in exchanged) > 0
    assert not ((labels == kidney_left) & (usual == kidney_left)).any()


@pytest.mark.venvs
def test_code_in_a_checkpoint_is_never_run(python: Path, phantom: Dataset, weights: Path, tmp_path: Path):
    bad = weights / "voxtell" / CHECKPOINT
    torch.save({**torch.load(bad, weights_only=True), "log": RunsCode(tmp_path / "made")}, bad)
    record_sums(weights / "voxtell", {CHECKPOINT: file_sha256(bad)})

    done = run_tool(python, phantom, tmp_path / "out", "--cases", "ras", weights=weights)

    assert done.returncode == 2
    assert "must be a whole file of tensors, numbers and names alone, but: it holds " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "made").exists()


@pytest.mark.venvs
@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('"torch.nn.LeakyReLU"', '"os.abort"', "must name layers and networks of nnU-Net alone, but names os.abort; "),
        ('"n_blocks_per_stage"', '"n_blocks"', "must be those of the network in plans.json, but: "),
        ('"patch_size"', '"size"', "must be the plans of VoxTell, but: KeyError 'patch_size'"),
    ],
)
def test_plans_of_another_network_are_refused(
    python: Path, phantom: Dataset, weights: Path, before: str, after: str, message: str
):
    bad = weights / "voxtell" / PLANS
    bad.write_text(bad.read_text().replace(before, after))
    record_sums(weights / "voxtell", {PLANS: file_sha256(bad)})

    done = run_tool(python, phantom, weights.parent / "out", "--cases", "ras", weights=weights)

    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.venvs
def test_a_checkpoint_with_a_missing_tensor_is_refused(python: Path, phantom: Dataset, weights: Path):
    bad = weights / "voxtell" / CHECKPOINT
    parameters = torch.load(bad, weights_only=True)["network_weights"]
    del parameters["pos_embed"]
    torch.save({"network_weights": parameters}, bad)
    record_sums(weights / "voxtell", {CHECKPOINT: file_sha256(bad)})

    done = run_tool(python, phantom, weights.parent / "out", "--cases", "ras", weights=weights)

    assert done.returncode == 2
    assert "pos_embed" in done.stderr and "Traceback" not in done.stderr


def test_the_weights_ask_for_consent_to_their_licence():
    entries = load_manifest(ROOT / "containers" / "voxtell").variant("v1-1").weights

    assert {entry.licence for entry in entries} == {"CC BY-NC-SA 4.0"}
    assert "non-commercial" in (entries[0].terms or "")
