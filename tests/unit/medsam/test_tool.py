"""The tool as it is run: its program, in its own environment, with the trained weights, on real CT."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from contract.datasets import Dataset, open_dataset
from contract.volumes import LabelMap, read_image, read_labels, write_image

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".venvs" / "medsam" / "bin" / "python"


@pytest.fixture
def python() -> Path:
    """The tool's own interpreter; without it the test is skipped, but fails in CI, where everything must be there."""
    if not PYTHON.exists():
        reason = f"{PYTHON}: the tool has no environment; make it with `coordinator tool build medsam`"
        (pytest.fail if os.environ.get("CI", "").lower() in {"1", "true"} else pytest.skip)(reason)
    return PYTHON


@pytest.fixture
def tsmini(samples: Path) -> Dataset:
    return open_dataset(samples / "datasets", "tsmini")


def run_tool(python: Path, data: Path, out: Path, *arguments: str) -> Path:
    """Run the tool on tsmini; the folder of its results."""
    program = ROOT / "containers/medsam/tool.py"
    command = [str(python), str(program), "--dataset", "tsmini", "--data", str(data), "--out", str(out), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out / "tsmini" / "medsam-lite"


def dice_by_organ(dataset: Dataset, case: str, results: Path) -> dict[str, float]:
    """Dice of each organ that the reference holds."""
    image = read_image(dataset.image(case))
    reference = read_labels(dataset.label(case), image, dataset.labels)
    result = read_labels(results / f"{case}.nii.gz", image, dataset.labels)
    return {dataset.labels[i]: dice(result == i, reference == i) for i in np.unique(reference[reference > 0]).tolist()}


def dice(a: LabelMap, b: LabelMap) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def some_slices(dataset: Dataset, case: str, slices: slice, data: Path) -> Dataset:
    """The same dataset with a part of one case."""
    image = read_image(dataset.image(case))
    labels = read_labels(dataset.label(case), image, dataset.labels)
    (data / "tsmini" / "images").mkdir(parents=True)
    (data / "tsmini" / "labels").mkdir()
    (data / "tsmini" / "dataset.yaml").write_bytes((dataset.folder / "dataset.yaml").read_bytes())
    write_image(data / "tsmini" / "images" / f"{case}.nii.gz", image.array[:, :, slices], image.grid.affine)
    write_image(data / "tsmini" / "labels" / f"{case}.nii.gz", labels[:, :, slices], image.grid.affine)
    return open_dataset(data, "tsmini")


@pytest.mark.venvs
@pytest.mark.samples
def test_a_slice_of_a_real_case_is_segmented_and_the_same_again(python: Path, tsmini: Dataset, tmp_path: Path):
    dataset = some_slices(tsmini, "ts_a", slice(79, 80), tmp_path / "data")

    first = run_tool(python, tmp_path / "data", tmp_path / "first", "--device", "cpu", "--box-jitter", "2")
    second = run_tool(python, tmp_path / "data", tmp_path / "second", "--device", "auto", "--box-jitter", "2")

    scores = dice_by_organ(dataset, "ts_a", first)
    assert np.mean(list(scores.values())) >= 0.75, scores
    assert (first / "ts_a.nii.gz").read_bytes() == (second / "ts_a.nii.gz").read_bytes()
    provenance = json.loads((first / "run.json").read_text())
    assert provenance["device"] == "cpu" and provenance["prompts"] == "ground-truth"


@pytest.mark.long
@pytest.mark.venvs
@pytest.mark.samples
@pytest.mark.parametrize("case", ["ts_a", "ts_b"])
def test_the_mean_dice_of_a_real_case_is_at_least_three_quarters(
    python: Path, tsmini: Dataset, tmp_path: Path, case: str
):
    results = run_tool(python, tsmini.folder.parent, tmp_path, "--cases", case)

    scores = dice_by_organ(tsmini, case, results)
    print(case, {organ: round(score, 3) for organ, score in scores.items()})  # noqa: T201 - shown with -s
    assert np.mean(list(scores.values())) >= 0.75, scores
