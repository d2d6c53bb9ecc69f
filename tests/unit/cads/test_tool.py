"""The tool as it is run: its program, in its own environment, with stand-in weights, on a phantom."""

import json
import shutil
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from cads_tool.cleaning import clean
from helpers.needs import find_tool_python
from helpers.pickles import RunsCode
from helpers.standins import STANDINS
from helpers.storedphantom import STORED, make_stored_phantom
from helpers.surface_oracle import oracle_dice
from scipy import ndimage

from contract import LabelMap
from contract.datasets import Dataset, open_dataset
from contract.manifest import load_manifest
from contract.records import file_sha256
from contract.volumes import read_image, read_labels, write_image
from contract.weights import list_files, record_sums

ROOT = Path(__file__).resolve().parents[3]
TOOL = ROOT / "containers" / "cads"
MODEL = "nnUNetTrainerNoMirroring__nnUNetResEncUNetLPlans__3d_fullres"
ORGANS = f"open/Dataset551_Totalseg251/{MODEL}"
KNOWN = ("spleen", "kidney_right", "kidney_left", "liver", "stomach")
"""Organs of the phantom that the stand-in of network 551 tells well."""
ABDOMINAL_CAVITY = 160
"""What the stand-in of network 559 calls every voxel."""

pytestmark = pytest.mark.venvs


@pytest.fixture(scope="module")
def python() -> Path:
    """The tool's own interpreter."""
    return find_tool_python("cads")


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A phantom that the stand-in was not trained on, stored in four ways."""
    return make_stored_phantom(tmp_path_factory.mktemp("data"), shape=(96, 80, 24))


def run_tool(
    python: Path, dataset: Dataset, out: Path, *arguments: str, weights: Path = STANDINS
) -> subprocess.CompletedProcess[str]:
    command = [
        str(python), str(TOOL / "tool.py"), "--dataset", dataset.name, "--data", str(dataset.folder.parent),
        "--out", str(out), "--weights", str(weights), *arguments,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=False)


def ras_labels(dataset: Dataset, case: str, results: Path) -> LabelMap:
    """(X, Y, Z) what was found, turned to RAS+."""
    return read_labels(results / f"{case}.nii.gz", read_image(dataset.image(case)))


@pytest.fixture(scope="module")
def results(python: Path, phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the networks that are not always silent."""
    out = tmp_path_factory.mktemp("out")
    done = run_tool(python, phantom, out, "--networks", "551,559")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return out / "phantom" / "cads-open"


@pytest.mark.parametrize("case", sorted(STORED))
def test_the_organs_of_a_phantom_are_found_however_it_is_stored(phantom: Dataset, results: Path, case: str):
    names = load_manifest(TOOL).variant("open").labels
    ids = {organ: i for i, organ in dict(names).items()}
    reference = read_labels(phantom.label(case), read_image(phantom.image(case)))
    result = ras_labels(phantom, case, results)

    scores = {organ: oracle_dice(reference == i, result == ids[organ]) for i, organ in phantom.labels.items()}

    assert min(scores[organ] for organ in KNOWN) >= 0.55, scores
    assert np.isin(result, [ABDOMINAL_CAVITY, *(ids[organ] for organ in phantom.labels.values())]).all()


@pytest.mark.parametrize("case", ["lps", "las"])
def test_the_same_voxels_get_the_same_labels_however_they_are_stored(phantom: Dataset, results: Path, case: str):
    np.testing.assert_array_equal(ras_labels(phantom, case, results), ras_labels(phantom, "ras", results))


@pytest.mark.parametrize("case", ["lps", "oblique"])
def test_labels_are_those_of_upstreams_own_steps(phantom: Dataset, results: Path, tmp_path: Path, case: str):
    program, target = Path(__file__).with_name("direct.py"), tmp_path / "direct.nii.gz"
    whole_nnunet = find_tool_python("nnunet")  # with what trainers need, and so nnU-Net's own loading
    command = [str(whole_nnunet), str(program), str(STANDINS / "cads" / ORGANS), str(phantom.image(case)), str(target)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    names = load_manifest(TOOL).variant("open").labels
    found = clean(np.asarray(nib.load(target).dataobj).astype(np.uint8), dict(names))
    result = ras_labels(phantom, case, results)
    expected = ndimage.zoom(found, np.divide(result.shape, found.shape), order=0)
    assert len(np.unique(expected)) > 5
    np.testing.assert_array_equal(np.where(result == ABDOMINAL_CAVITY, 0, result), expected)


def test_a_result_lies_on_the_images_grid(phantom: Dataset, results: Path):
    image, result = nib.load(phantom.image("oblique")), nib.load(results / "oblique.nii.gz")

    assert (result.shape, result.get_data_dtype()) == (image.shape, np.uint8)
    np.testing.assert_array_equal(result.affine, image.affine)


def test_the_record_names_options_and_licences_and_no_torchvision(results: Path):
    record = json.loads((results / "run.json").read_text())

    assert (record["device"], record["options"]) == ("cpu", {"networks": "551,559"})
    assert {entry["licence"] for entry in record["weights"]} == {"CC BY-SA 4.0"}
    assert len(record["weights"]) == 9
    assert not {"torchvision", "timm"} & set(record["packages"])


def test_volumes_that_are_too_thin_or_empty_fail_alone(python: Path, phantom: Dataset, tmp_path: Path):
    folder = tmp_path / "data" / "phantom"
    (folder / "images").mkdir(parents=True)
    shutil.copy(phantom.folder / "dataset.yaml", folder)
    image = read_image(phantom.image("ras"))
    voxels = image.array[:, :, 12:13]
    write_image(folder / "images" / "slice.nii.gz", voxels, image.grid.affine)
    write_image(folder / "images" / "thin.nii.gz", voxels, image.grid.affine @ np.diag([1, 1, 0.1, 1]))
    write_image(folder / "images" / "zero.nii.gz", np.zeros_like(voxels), image.grid.affine)

    done = run_tool(python, open_dataset(folder.parent, "phantom"), tmp_path / "out", "--networks", "557")

    assert done.returncode == 3, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "out/phantom/cads-open/status.jsonl").read_text().splitlines()]
    assert {line["case"]: line["state"] for line in lines} == {"slice": "done", "thin": "failed", "zero": "failed"}
    reasons = {line["case"]: line["reason"] or "" for line in lines}
    assert "thin: volume must be thicker than 0.75 mm" in reasons["thin"]
    assert "zero: image must hold voxels other than 0 HU" in reasons["zero"]


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """A copy of the stand-ins that may be changed."""
    shutil.copytree(STANDINS / "cads", tmp_path / "weights" / "cads")
    return tmp_path / "weights"


def record(weights: Path) -> None:
    """Write SHA256SUMS as if the files had just been fetched."""
    root = weights / "cads"
    record_sums(root, {f.relative_to(root).as_posix(): file_sha256(f) for f in list_files(root / "open")})


def test_code_in_a_checkpoint_is_never_run(python: Path, phantom: Dataset, changed: Path, tmp_path: Path):
    bad = changed / "cads" / ORGANS / "fold_all" / "checkpoint_final.pth"
    torch.save({**torch.load(bad, weights_only=False), "log": RunsCode(tmp_path / "made")}, bad)
    record(changed)

    done = run_tool(python, phantom, tmp_path / "out", "--networks", "551", weights=changed)

    assert done.returncode == 2
    assert "must be a whole file of tensors, numbers and names alone, but: it holds " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "made").exists()


def test_a_network_with_other_structures_is_refused(python: Path, phantom: Dataset, changed: Path, tmp_path: Path):
    file = changed / "cads" / ORGANS / "dataset.json"
    file.write_text(file.read_text().replace('"kidney_right"', '"kidney_middle"'))
    record(changed)

    done = run_tool(python, phantom, tmp_path / "out", weights=changed)

    assert done.returncode == 2
    assert "structures must be those of the tool's manifest, but 2 is 'kidney_middle'" in done.stderr
