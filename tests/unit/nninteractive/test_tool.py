"""The tool as it is run: its program, in its own environment, with the stand-in's weights, on a phantom."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.needs import skip_or_fail

from contract import LabelMap
from contract.datasets import Dataset, open_dataset
from contract.records import file_sha256
from contract.volumes import read_image, read_labels, write_image
from contract.weights import record_sums
from coordinator.datasets.phantom import make_phantom

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".venvs" / "nninteractive" / "bin" / "python"
STANDINS = ROOT / "tests" / "standins" / "weights"
CHECKPOINT = "nnInteractive_v1.0/fold_0/checkpoint_final.pth"
OBLIQUE = np.array([[0.99, 0.1, -0.08, 0], [-0.09, 0.99, 0.12, 0], [0.09, -0.11, 0.99, 0], [0, 0, 0, 1]])
STORED = {
    "ras": np.diag([1, 1, 1, 1]),
    "lps": np.diag([-1, -1, 1, 1]),
    "las": np.diag([-1, 1, 1, 1]),
    "oblique": OBLIQUE @ np.diag([-1, 1, -1, 1]),
}
"""Case -> directions of the voxels' axes; the same patient in all of them."""


@pytest.fixture(scope="module")
def python() -> Path:
    """The tool's own interpreter; without it the test is skipped, but fails in CI, where everything must be there."""
    if not PYTHON.exists():
        skip_or_fail(f"{PYTHON}: the tool has no environment; make it with `coordinator tool build nninteractive`")
    return PYTHON


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A phantom that the stand-in was not trained on, stored in four ways."""
    made, data = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("data")
    make_phantom(made / "phantom", cases=1, seed=5, shape=(48, 40, 12))
    source = open_dataset(made, "phantom")
    image = read_image(source.image("phantom_001"))
    labels = read_labels(source.label("phantom_001"), image)
    for kind, voxels in (("images", image.array), ("labels", labels)):
        (data / "phantom" / kind).mkdir(parents=True)
        for case, axes in STORED.items():
            flips = [np.s_[:: int(np.sign(axes[i, i]))] for i in range(3)]
            affine = axes @ np.diag([*image.spacing_mm, 1])
            write_image(data / "phantom" / kind / f"{case}.nii.gz", voxels[tuple(flips)], affine)
    (data / "phantom" / "dataset.yaml").write_bytes((source.folder / "dataset.yaml").read_bytes())
    return open_dataset(data, "phantom")


def run_tool(
    dataset: Dataset, out: Path, *arguments: str, weights: Path = STANDINS
) -> subprocess.CompletedProcess[str]:
    program = ROOT / "containers" / "nninteractive" / "tool.py"
    command = [
        str(PYTHON), str(program), "--dataset", dataset.name, "--data", str(dataset.folder.parent), "--out", str(out),
        "--weights", str(weights), "--min-volume", "8", *arguments,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=False)


def mean_dice(dataset: Dataset, case: str, results: Path) -> float:
    """Over the organs that the reference holds."""
    reference = read_labels(dataset.label(case), read_image(dataset.image(case)))
    result = ras_labels(dataset, case, results)
    return float(np.mean([dice(result == i, reference == i) for i in np.unique(reference[reference > 0])]))


def ras_labels(dataset: Dataset, case: str, results: Path) -> LabelMap:
    """(X, Y, Z) what was found, turned to RAS+."""
    return read_labels(results / f"{case}.nii.gz", read_image(dataset.image(case)))


def dice(a: LabelMap, b: LabelMap) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def segmented(dataset: Dataset, out: Path, cases: Sequence[str], *arguments: str) -> Path:
    done = run_tool(dataset, out, "--cases", ",".join(cases), *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return out / dataset.name / "nninteractive-v1"


@pytest.mark.venvs
def test_the_organs_of_a_phantom_are_found_however_it_is_stored(python: Path, phantom: Dataset, tmp_path: Path):
    results = segmented(phantom, tmp_path, sorted(STORED))

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
    results = segmented(phantom, tmp_path, ["lps", "ras"], "--box-margin", "16")

    assert (ras_labels(phantom, "lps", results) == ras_labels(phantom, "ras", results)).all()


class RunsCode:
    """Unpickled as a program may do it, it would make a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.file,)


@pytest.mark.venvs
def test_code_in_a_checkpoint_is_never_run(python: Path, phantom: Dataset, tmp_path: Path):
    weights = tmp_path / "weights"
    shutil.copytree(STANDINS / "nninteractive", weights / "nninteractive")
    bad = weights / "nninteractive" / CHECKPOINT
    torch.save({**torch.load(bad, weights_only=True), "log": RunsCode(tmp_path / "made")}, bad)
    record_sums(weights / "nninteractive", {CHECKPOINT: file_sha256(bad)})

    done = run_tool(phantom, tmp_path / "out", "--cases", "ras", weights=weights)

    assert done.returncode == 2
    assert "checkpoint must hold numbers and names alone" in done.stderr
    assert not (tmp_path / "made").exists()


def test_the_weights_ask_for_consent_to_their_licence():
    from contract.manifest import load_manifest

    entries = load_manifest(ROOT / "containers" / "nninteractive").variant("v1").weights

    assert {entry.licence for entry in entries} == {"CC BY-NC-SA 4.0"}
    assert "non-commercial" in (entries[0].terms or "")
