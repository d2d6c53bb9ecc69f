"""The tool as it is run: its program, in its own environment; lite on real CT, vit-b's stand-in on phantoms."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from helpers.needs import find_tool_python
from helpers.standins import STANDINS
from helpers.storedphantom import STORED, make_stored_phantom
from helpers.surface_oracle import oracle_dice

from contract.datasets import Dataset, open_dataset
from contract.volumes import read_image, read_labels, write_image

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def python() -> Path:
    """The tool's own interpreter."""
    return find_tool_python("medsam")


@pytest.fixture
def tsmini(samples: Path) -> Dataset:
    return open_dataset(samples / "datasets", "tsmini")


def run_tool(python: Path, data: Path, out: Path, *arguments: str, variant: str = "lite") -> Path:
    """Run the tool on the dataset of a data folder; the folder of its results."""
    name = "tsmini" if (data / "tsmini").is_dir() else "phantom"
    command = [
        str(python), str(ROOT / "containers/medsam/tool.py"), "--dataset", name, "--variant", variant,
        "--data", str(data), "--out", str(out), "--weights", str(STANDINS), *arguments,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out / name / f"medsam-{variant}"


def dice_by_organ(dataset: Dataset, case: str, results: Path) -> dict[str, float]:
    """Dice of each organ that the reference holds."""
    image = read_image(dataset.image(case))
    reference = read_labels(dataset.label(case), image, dataset.labels)
    result = read_labels(results / f"{case}.nii.gz", image, dataset.labels)
    return {
        dataset.labels[i]: oracle_dice(reference == i, result == i)
        for i in np.unique(reference[reference > 0]).tolist()
    }


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


SLICES = slice(9, 13)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Four slices of a phantom that the stand-in was not trained on, stored in four ways."""
    return make_stored_phantom(tmp_path_factory.mktemp("data"), shape=(96, 80, 24), slices=SLICES)


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
