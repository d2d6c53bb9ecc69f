"""Odd volumes, and all options at once: what is done with them, and what fails alone, with its reason."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from contract.datasets import Dataset
from contract.volumes import write_image

pytestmark = pytest.mark.venvs


@pytest.fixture(scope="module")
def odd(patient: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the patient's volume, whole, sheared, one slice of it, thick and thin, and air."""
    data = tmp_path_factory.mktemp("odd")
    images = data / "patient" / "images"
    images.mkdir(parents=True)
    shutil.copy(patient.folder / "dataset.yaml", images.parent)
    image = nib.load(patient.image("ras"))
    voxels, shear = np.asarray(image.dataobj), np.zeros((4, 4))
    shear[0, 2] = 1.1
    write_image(images / "whole.nii.gz", voxels, image.affine)
    write_image(images / "sheared.nii.gz", voxels, image.affine + shear)
    write_image(images / "slice.nii.gz", voxels[:, :, 12:13], image.affine)
    write_image(images / "thin.nii.gz", voxels[:, :, 12:13], image.affine @ np.diag([1, 1, 0.25, 1]))
    write_image(images / "air.nii.gz", np.full_like(voxels, -1000), image.affine)
    write_image(images / "zero.nii.gz", np.zeros_like(voxels), image.affine)
    return data


@pytest.fixture(scope="module")
def order_3(run_tool: Callable, odd: Path, tmp_path_factory: pytest.TempPathFactory):
    return run_tool(tmp_path_factory.mktemp("out"), "--variant", "6mm", "--resampling-order", "3", data=odd)


def labels(folder: Path, case: str) -> np.ndarray:
    return np.asarray(nib.load(folder / f"{case}.nii.gz").dataobj)


def test_a_volume_that_is_too_thin_fails_alone(order_3):
    lines = [json.loads(line) for line in (order_3.folder / "status.jsonl").read_text().splitlines()]
    failed = {line["case"]: line["reason"] for line in lines if line["state"] == "failed"}

    assert order_3.code == 3, order_3.stderr
    assert len(lines) == 6
    assert list(failed) == ["thin"]
    assert "volume must be thicker than 3 mm, half a voxel of the models, but is 1.5 mm along z" in failed["thin"]


def test_a_single_slice_and_a_sheared_volume_are_segmented(order_3):
    whole, sheared = labels(order_3.folder, "whole"), labels(order_3.folder, "sheared")

    assert labels(order_3.folder, "slice").shape == (96, 80, 1)
    assert (whole != sheared).mean() < 0.01
    assert {1, 2, 3, 5, 6, 7, 52} <= set(np.unique(sheared).tolist())


def test_air_and_an_image_of_zeros_get_no_labels(order_3):
    assert not labels(order_3.folder, "air").any()
    assert not labels(order_3.folder, "zero").any()


def test_the_resampling_order_changes_what_the_networks_see(results_6mm, order_3):
    differing = labels(results_6mm.folder, "ras") != labels(order_3.folder, "whole")

    assert 0 < differing.mean() < 0.01


@pytest.mark.long
def test_smooth_outlines_and_removed_blobs_are_the_packages_own(run_tool: Callable, odd: Path, order_3, tmp_path: Path):
    options = ("--higher-order-resampling", "--remove-small-blobs", "200000")

    smooth = run_tool(tmp_path, "--variant", "6mm", "--cases", "whole", *options, data=odd)

    assert smooth.code == 0, smooth.stderr
    assert set(np.unique(labels(smooth.folder, "whole"))) < set(np.unique(labels(order_3.folder, "whole")))
