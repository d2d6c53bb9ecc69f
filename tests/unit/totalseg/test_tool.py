"""The tool as it is run: its program, in its own environment, with stand-in weights, on a phantom."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from contract.datasets import Dataset

pytestmark = pytest.mark.venvs

Labels = NDArray[np.unsignedinteger]
CASES = ("ras", "lps", "las", "turned", "oblique")


@pytest.fixture(scope="session")
def run_3mm(run_tool: Callable, tmp_path_factory: pytest.TempPathFactory):
    done = run_tool(tmp_path_factory.mktemp("out"), "--variant", "3mm", "--device", "cpu")
    assert done.code == 0, done.said
    return done


def mean(scores: Mapping[str, float]) -> float:
    return float(np.mean(list(scores.values())))


@pytest.mark.parametrize("case", CASES)
def test_organs_are_found_however_the_file_is_stored(run_3mm, in_ras: Callable, dice: Callable, case: str):
    scores = dice(in_ras(run_3mm.folder, case), case)

    assert mean(scores) >= 0.7, scores


@pytest.mark.parametrize("case", ["lps", "las", "turned"])
def test_the_same_voxels_get_the_same_labels_however_they_are_stored(run_3mm, in_ras: Callable, case: str):
    np.testing.assert_array_equal(in_ras(run_3mm.folder, case), in_ras(run_3mm.folder, "ras"))


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)])
def test_flipped_labels_would_be_noticed(run_3mm, in_ras: Callable, dice: Callable, axes: tuple[int, ...]):
    flipped = np.flip(in_ras(run_3mm.folder, "ras"), axes)

    assert mean(dice(flipped, "ras")) < 0.5


def test_the_output_lies_on_the_grid_of_its_file(run_3mm, patient: Dataset):
    for case in CASES:
        image, result = nib.load(patient.image(case)), nib.load(run_3mm.folder / f"{case}.nii.gz")
        assert (result.shape, result.get_data_dtype()) == (image.shape, np.uint8)
        np.testing.assert_array_equal(result.affine, image.affine)


def test_nothing_tries_to_use_the_network(run_3mm):
    assert run_3mm.attempts == []


def test_the_record_names_device_options_and_weights(run_3mm):
    record = json.loads((run_3mm.folder / "run.json").read_text())

    assert (record["device"], record["threads"]) == ("cpu", 1)
    assert record["options"] == {"resampling-order": 1, "higher-order-resampling": False, "remove-small-blobs": 0.0}
    assert [w["file"] for w in record["weights"]] == ["Dataset297_TotalSegmentator_total_3mm_1559subj"]
    assert record["packages"]["TotalSegmentator"] == "2.18.0"
    assert not {"torchvision", "timm", "vtk"} & set(record["packages"])


@pytest.mark.parametrize(("variant", "order"), [("6mm", "1"), pytest.param("3mm", "3", marks=pytest.mark.long)])
def test_labels_are_those_of_the_packages_own_function(
    run_tool: Callable,
    python: Path,
    watched: Callable,
    standins: Path,
    patient: Dataset,
    tmp_path: Path,
    variant: str,
    order: str,
):
    cases = ("lps", "oblique")
    theirs = [str(word) for case in cases for word in (patient.image(case), tmp_path / f"{case}.nii.gz")]

    done, _ = watched(
        [str(python), str(Path(__file__).with_name("direct.py")), str(standins / "totalseg"), variant, order, *theirs]
    )
    ours = run_tool(tmp_path, "--variant", variant, "--cases", ",".join(cases), "--resampling-order", order)

    assert (done.returncode, ours.code) == (0, 0), done.stderr + ours.said
    for case in cases:
        expected = np.asarray(nib.load(tmp_path / f"{case}.nii.gz").dataobj)
        found = np.asarray(nib.load(ours.folder / f"{case}.nii.gz").dataobj)
        assert len(np.unique(expected)) > 4
        np.testing.assert_array_equal(found, expected)


def test_the_resampling_order_changes_what_the_networks_see(
    run_tool: Callable, run_3mm, in_ras: Callable, tmp_path: Path
):
    done = run_tool(tmp_path, "--variant", "3mm", "--cases", "ras", "--resampling-order", "3")

    differing = in_ras(done.folder, "ras") != in_ras(run_3mm.folder, "ras")
    assert 0 < differing.mean() < 0.01
