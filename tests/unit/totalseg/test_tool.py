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
PARTS = (
    "part1_organs_1559subj",
    "part2_vertebrae_1532subj",
    "part3_cardiac_1559subj",
    "part4_muscles_1559subj",
    "part5_ribs_1559subj",
)
MODELS = {
    "total": [f"Dataset{291 + i}_TotalSegmentator_{part}" for i, part in enumerate(PARTS)],
    "3mm": ["Dataset297_TotalSegmentator_total_3mm_1559subj"],
    "6mm": ["Dataset298_TotalSegmentator_total_6mm_1559subj"],
}


@pytest.fixture(
    scope="session",
    params=["6mm", pytest.param("3mm", marks=pytest.mark.long), pytest.param("total", marks=pytest.mark.long)],
)
def results(request: pytest.FixtureRequest, run_tool: Callable, tmp_path_factory: pytest.TempPathFactory):
    """The tool's results on all files of the patient, for each variant."""
    if request.param == "6mm":
        return request.getfixturevalue("results_6mm")
    done = run_tool(tmp_path_factory.mktemp("out"), "--variant", request.param, "--device", "cpu")
    assert done.code == 0, done.stderr
    return done


def mean(scores: Mapping[str, float]) -> float:
    return float(np.mean(list(scores.values())))


@pytest.mark.parametrize("case", CASES)
def test_organs_are_found_however_the_file_is_stored(results, in_ras: Callable, dice: Callable, case: str):
    scores = dice(in_ras(results.folder, case), case)

    print(results.folder, case, {organ: round(score, 3) for organ, score in scores.items()})  # noqa: T201 - with -s
    assert mean(scores) >= 0.7, scores
    assert mean(scores) == pytest.approx(mean(dice(in_ras(results.folder, "ras"), "ras")), abs=0.01)


@pytest.mark.parametrize("case", ["lps", "las", "turned"])
def test_the_same_voxels_get_the_same_labels_however_they_are_stored(results, in_ras: Callable, case: str):
    np.testing.assert_array_equal(in_ras(results.folder, case), in_ras(results.folder, "ras"))


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)])
def test_flipped_labels_would_be_noticed(results, in_ras: Callable, dice: Callable, axes: tuple[int, ...]):
    flipped = np.flip(in_ras(results.folder, "ras"), axes)

    assert mean(dice(flipped, "ras")) < 0.5


def test_the_output_lies_on_the_grid_of_its_file(results, patient: Dataset):
    for case in CASES:
        image, result = nib.load(patient.image(case)), nib.load(results.folder / f"{case}.nii.gz")
        assert (result.shape, result.get_data_dtype()) == (image.shape, np.uint8)
        np.testing.assert_array_equal(result.affine, image.affine)


def test_nothing_tries_to_use_the_network_or_starts_a_process(results):
    # matplotlib, which comes along, asks fontconfig for fonts where that is installed: on no network, and in no image.
    assert [attempt for attempt in results.attempts if "fc-list" not in attempt] == []


def test_the_record_names_device_options_and_weights(results):
    record = json.loads((results.folder / "run.json").read_text())

    assert (record["device"], record["threads"]) == ("cpu", 1)
    assert record["options"] == {"resampling-order": 1, "higher-order-resampling": False, "remove-small-blobs": 0.0}
    assert [entry["file"] for entry in record["weights"]] == MODELS[record["variant"]]
    assert record["packages"]["TotalSegmentator"] == "2.18.0"
    assert not {"torchvision", "timm", "vtk"} & set(record["packages"])


@pytest.mark.long
@pytest.mark.parametrize(("variant", "order"), [("6mm", "1"), ("6mm", "3"), ("total", "1")])
def test_labels_are_those_of_the_packages_own_function(
    run_tool: Callable, python: Path, watched: Callable, standins: Path, patient: Dataset, tmp_path: Path,
    variant: str, order: str,
):  # fmt: skip
    cases = ("lps", "oblique")
    files = [str(path) for case in cases for path in (patient.image(case), tmp_path / f"{case}.nii.gz")]
    program = Path(__file__).with_name("direct.py")

    theirs, _ = watched([str(python), str(program), str(standins / "totalseg"), variant, order, *files])
    ours = run_tool(tmp_path, "--variant", variant, "--cases", ",".join(cases), "--resampling-order", order)

    assert (theirs.returncode, ours.code) == (0, 0), theirs.stderr + ours.stderr
    for case in cases:
        expected = np.asarray(nib.load(tmp_path / f"{case}.nii.gz").dataobj)
        found = np.asarray(nib.load(ours.folder / f"{case}.nii.gz").dataobj)
        assert len(np.unique(expected)) > 4
        np.testing.assert_array_equal(found, expected)
