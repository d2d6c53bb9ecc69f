"""Real CTs as DICOM series with their label maps as SEG and RTSTRUCT: one command, and the check finds them sound."""

from pathlib import Path

import numpy as np
import pytest
from helpers.dicomcases import import_into_data
from helpers.dicomlabels import draw_contours, write_seg
from helpers.dicomseries import write_rtstruct
from helpers.distributions import centre_mm, digest_tree
from helpers.inprocess import call_coordinator
from helpers.reallayouts import SCANS, read_sample, write_series
from pydicom import dcmread

from contract.datasets import Dataset, open_dataset
from contract.volumes import read_image, read_labels

pytestmark = pytest.mark.samples
Captured = pytest.CaptureFixture[str]
DICE = 0.98
"""That contours must reach. They run halfway between voxels, at corners diagonally, so that only voxels that touch
others of the organ at a corner alone may be lost; two decimals of a mm are a hundredth of a voxel."""


def expect_hu(dataset: Dataset, case: str, slices: list[Path]) -> None:
    """Each voxel is what pydicom reads at the slice's position, scaled."""
    volume = read_image(dataset.image(case))
    for file in slices:
        header = dcmread(file)
        first = np.array(header.ImagePositionPatient, float) * [-1, -1, 1]
        x, y, z = np.rint(np.linalg.inv(volume.grid.affine)[:3] @ [*first, 1]).astype(int)
        assert (x, y) == (volume.array.shape[0] - 1, volume.array.shape[1] - 1)
        expected = header.pixel_array * float(header.RescaleSlope) + float(header.RescaleIntercept)
        assert np.array_equal(volume.array[::-1, ::-1, z].T, expected)


def test_real_scans_with_segmentations_are_imported_voxel_by_voxel(samples: Path, tmp_path: Path, capfd: Captured):
    source = tmp_path / "clinic"
    written = {scan: write_series(samples, scan, source / scan) for scan in SCANS}
    for scan, (slices, masks) in written.items():
        write_seg(source / scan / "seg" / "1.dcm", slices, masks)
    before = digest_tree(source)

    ended = import_into_data(capfd, source)
    checked = call_coordinator(capfd, "dataset", "check", tmp_path / "data" / "clinic")

    dataset = open_dataset(tmp_path / "data", "clinic")
    assert (ended.code, ended.err, checked.code, "error:" in checked.out) == (0, "", 0, False)
    assert dataset.cases() == ["ts_a", "ts_b"]
    ids = {organ: i for i, organ in dataset.labels.items()}
    for scan, (slices, masks) in written.items():
        expect_hu(dataset, scan, slices)
        labels = read_labels(dataset.label(scan), read_image(dataset.image(scan)).grid)[::-1, ::-1]
        assert all(np.array_equal(labels == ids[organ], mask) for organ, mask in masks.items())
        assert centre_mm(dataset.label(scan), ids["spleen"])[0] < centre_mm(dataset.label(scan), ids["liver"])[0] - 50
    assert digest_tree(source) == before


def test_contours_of_a_real_scan_enclose_the_voxels_that_they_were_drawn_around(
    samples: Path, tmp_path: Path, capfd: Captured
):
    slices, masks = write_series(samples, "ts_b", tmp_path / "clinic" / "b")
    affine = read_sample(samples, "ts_b")[2]
    contours = {organ: draw_contours(mask, affine) for organ, mask in masks.items()}
    write_rtstruct(tmp_path / "clinic" / "b" / "rt.dcm", slices[0], contours)

    assert import_into_data(capfd, tmp_path / "clinic").code == 0

    dataset = open_dataset(tmp_path / "data", "clinic")
    labels = read_labels(dataset.label("b"), read_image(dataset.image("b")).grid)[::-1, ::-1]
    dice = {}
    for i, organ in dataset.labels.items():
        drawn = labels == i
        dice[organ] = 2 * np.count_nonzero(drawn & masks[organ]) / (drawn.sum() + masks[organ].sum())
    assert set(dice) == set(masks)
    assert min(dice.values()) >= DICE, dice
