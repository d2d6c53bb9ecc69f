"""The tool as it is run: its program, in its own environment; lite on real CT, vit-b's stand-in on phantoms."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from helpers.needs import skip_or_fail

from contract import LabelMap
from contract.datasets import Dataset, open_dataset
from contract.volumes import read_image, read_labels, write_image
from coordinator.datasets.phantom import make_phantom

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".venvs" / "medsam" / "bin" / "python"


@pytest.fixture(scope="module")
def python() -> Path:
    """The tool's own interpreter; without it the test is skipped, but fails in CI, where everything must be there."""
    if not PYTHON.exists():
        skip_or_fail(f"{PYTHON}: the tool has no environment; make it with `coordinator tool build medsam`")
    return PYTHON


@pytest.fixture
def tsmini(samples: Path) -> Dataset:
    return open_dataset(samples / "datasets", "tsmini")


def run_tool(python: Path, data: Path, out: Path, *arguments: str, variant: str = "lite") -> Path:
    """Run the tool on the dataset of a data folder; the folder of its results."""
    name = "tsmini" if (data / "tsmini").is_dir() else "phantom"
    command = [
        str(python), str(ROOT / "containers/medsam/tool.py"), "--dataset", name, "--variant", variant,
        "--data", str(data), "--out", str(out), "--weights", str(ROOT / "tests/standins/weights"), *arguments,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out / name / f"medsam-{variant}"


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


OBLIQUE = np.array([[0.99, 0.1, -0.08, 0], [-0.09, 0.99, 0.12, 0], [0.09, -0.11, 0.99, 0], [0, 0, 0, 1]])
STORED = {
    "ras": np.diag([1, 1, 1, 1]),
    "lps": np.diag([-1, -1, 1, 1]),
    "las": np.diag([-1, 1, 1, 1]),
    "oblique": OBLIQUE @ np.diag([-1, 1, -1, 1]),
}
"""Case -> directions of the voxels' axes; the same patient in all of them."""
SLICES = slice(9, 13)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Four slices of a phantom that the stand-in was not trained on, stored in four ways."""
    made, data = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("data")
    make_phantom(made / "phantom", cases=1, seed=5, shape=(96, 80, 24))
    source = open_dataset(made, "phantom")
    image = read_image(source.image("phantom_001"))
    labels = read_labels(source.label("phantom_001"), image)
    for kind, voxels in (("images", image.array), ("labels", labels)):
        (data / "phantom" / kind).mkdir(parents=True)
        for case, axes in STORED.items():
            flips = [np.s_[:: int(np.sign(axes[i, i]))] for i in range(3)]
            affine = axes @ np.diag([*image.spacing_mm, 1])
            write_image(data / "phantom" / kind / f"{case}.nii.gz", voxels[:, :, SLICES][tuple(flips)], affine)
    (data / "phantom" / "dataset.yaml").write_bytes((source.folder / "dataset.yaml").read_bytes())
    return open_dataset(data, "phantom")


@pytest.fixture(scope="module")
def segmented_phantom(python: Path, phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What vit-b's stand-in makes of it."""
    return run_tool(python, phantom.folder.parent, tmp_path_factory.mktemp("out"), variant="vit-b")


@pytest.mark.venvs
def test_vit_b_finds_the_organs_of_a_phantom_however_it_is_stored(phantom: Dataset, segmented_phantom: Path):
    scores = {case: dice_by_organ(phantom, case, segmented_phantom) for case in STORED}

    means = {case: float(np.mean(list(of_case.values()))) for case, of_case in scores.items()}
    assert all(len(of_case) == 7 for of_case in scores.values())
    assert min(means.values()) >= 0.8, scores
    assert max(means.values()) - min(means.values()) <= 0.01, means


@pytest.mark.venvs
def test_run_json_counts_the_slices_that_this_run_embedded(
    python: Path, phantom: Dataset, segmented_phantom: Path, tmp_path: Path
):
    first = json.loads((segmented_phantom / "run.json").read_text())
    out = tmp_path / "phantom"
    shutil.copytree(segmented_phantom, out / "medsam-vit-b")
    (out / "medsam-vit-b" / "las.nii.gz").unlink()

    run_tool(python, phantom.folder.parent, tmp_path, variant="vit-b")

    again = json.loads((out / "medsam-vit-b" / "run.json").read_text())
    assert first["encoder_passes"] == {"this_run": 16, "cases": dict.fromkeys(sorted(STORED), 4)}
    assert again["encoder_passes"] == {"this_run": 4, "cases": {"las": 4}}
    assert first["prompts"] == "ground-truth"
    assert first["weights"][0]["file"] == "medsam_vit_b.pth"
    assert again["outputs"] == first["outputs"]


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
