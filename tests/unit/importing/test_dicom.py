"""DICOM: slices become volumes of the same HU at the same places, and SEG and RTSTRUCT their labels."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.dicomlabels import draw_contours, write_seg
from helpers.dicomseries import grid_affine, write_ct, write_rtstruct
from helpers.distributions import centre_mm, digest_tree
from helpers.inprocess import Ended, call_coordinator
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from contract.datasets import open_dataset
from contract.grids import Grid
from contract.volumes import read_image, read_labels
from coordinator.datasets.anatomy import LABELS, draw_case

Captured = pytest.CaptureFixture[str]
SHAPE = (44, 37, 15)
TURN = Rotation.from_euler("xyz", [11, -7, 18], degrees=True).as_matrix()
AXES = {
    "head first": np.diag([-1.0, -1, 1]),
    "from the feet": np.diag([-1.0, -1, -1]),
    "face down": np.diag([1.0, 1, 1]),
    "coronal": np.array([[-1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "oblique": TURN @ np.diag([-1.0, -1, 1]),
}
TABLE = dict(enumerate(sorted(LABELS.values()), 1))


def place(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Affine of a grid that holds the phantom's abdomen, centred."""
    spacing = np.array([8.4, 9.1, 12.5])
    return grid_affine(spacing, -(axes * spacing) @ (np.array(SHAPE) - 1) / 2, axes)


def draw(number: int, affine: NDArray[np.float64]) -> tuple[NDArray[np.int16], dict[str, NDArray[np.bool_]]]:
    """HU and masks of a patient."""
    image, labels = draw_case(np.random.Generator(np.random.Philox(key=number)), Grid(SHAPE, affine))
    return image.astype(np.int16), {organ: labels == i for i, organ in LABELS.items()}


def import_into_data(capfd: Captured, source: Path, *options: str) -> Ended:
    return call_coordinator(capfd, "dataset", "import", source, "--into", source.parent / "data", *options)


def to_ras(array: NDArray[np.generic], affine: NDArray[np.float64]) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    image = nib.as_closest_canonical(nib.Nifti1Image(array, affine))
    return np.asarray(image.dataobj), image.affine


def expect_volume(path: Path, image: NDArray[np.int16], affine: NDArray[np.float64]) -> None:
    """The file has these voxels in these places, in int16, and nothing in its header but geometry."""
    volume = read_image(path)
    expected, grid = to_ras(image, affine)
    assert np.array_equal(volume.array, expected)
    assert volume.array.dtype == np.int16
    assert np.allclose(volume.grid.affine, grid, atol=1e-4)
    header = nib.load(path).header
    assert all(not header[field].item() for field in ("descrip", "aux_file", "db_name", "intent_name"))


def label_map(masks: dict[str, NDArray[np.bool_]]) -> NDArray[np.uint8]:
    labels = np.zeros(SHAPE, np.uint8)
    for i, organ in TABLE.items():
        labels[masks[organ]] = i
    return labels


@pytest.mark.parametrize("kind", ["SEG", "RTSTRUCT"])
@pytest.mark.parametrize("axes", AXES.values(), ids=AXES)
def test_volumes_and_labels_lie_where_the_slices_do(
    axes: NDArray[np.float64], kind: str, tmp_path: Path, capfd: Captured
):
    affine = place(axes)
    image, masks = draw(1, affine)
    slices = write_ct(tmp_path / "scans" / "p1" / "ct", image, affine)
    if kind == "SEG":
        write_seg(tmp_path / "scans" / "p1" / "seg" / "1.dcm", slices, masks)
    else:
        contours = {organ: draw_contours(mask, affine) for organ, mask in masks.items()}
        write_rtstruct(tmp_path / "scans" / "p1" / "rt" / "1.dcm", slices[0], contours)
    before = digest_tree(tmp_path / "scans")

    ended = import_into_data(capfd, tmp_path / "scans")
    made = digest_tree(tmp_path / "data")
    again = import_into_data(capfd, tmp_path / "scans")
    checked = call_coordinator(capfd, "dataset", "check", tmp_path / "data" / "scans")

    assert (ended.code, ended.err, again.code) == (0, "", 0)
    assert "layout dicom, 1 cases" in ended.out
    assert "imported already" in again.out
    assert digest_tree(tmp_path / "data") == made
    assert digest_tree(tmp_path / "scans") == before
    dataset = open_dataset(tmp_path / "data", "scans")
    assert (dataset.cases(), dataset.labels, "error:" in checked.out) == (["p1"], TABLE, False)
    expect_volume(dataset.image("p1"), image, affine)
    grid = read_image(dataset.image("p1")).grid
    assert np.array_equal(read_labels(dataset.label("p1"), grid), to_ras(label_map(masks), affine)[0])
    ids = {organ: i for i, organ in TABLE.items()}
    assert centre_mm(dataset.label("p1"), ids["spleen"])[0] < -40
    assert centre_mm(dataset.label("p1"), ids["liver"])[0] > 20
