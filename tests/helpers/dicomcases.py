"""Phantoms as DICOM folders, in the ways in which patients lie in scanners, and what must come of them."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.dicomseries import grid_affine
from helpers.inprocess import Ended, call_coordinator
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from contract.grids import Grid
from contract.volumes import read_image
from coordinator.datasets.anatomy import LABELS, draw_case

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


def place(axes: NDArray[np.float64] = AXES["head first"]) -> NDArray[np.float64]:
    """Affine of a grid that holds the phantom's abdomen, centred."""
    spacing = np.array([8.4, 9.1, 12.5])
    return grid_affine(spacing, -(axes * spacing) @ (np.array(SHAPE) - 1) / 2, axes)


def draw(number: int, affine: NDArray[np.float64]) -> tuple[NDArray[np.int16], dict[str, NDArray[np.bool_]]]:
    """HU and masks of a patient."""
    image, labels = draw_case(np.random.Generator(np.random.Philox(key=number)), Grid(SHAPE, affine))
    return image.astype(np.int16), {organ: labels == i for i, organ in LABELS.items()}


def label_map(masks: dict[str, NDArray[np.bool_]]) -> NDArray[np.uint8]:
    labels = np.zeros(SHAPE, np.uint8)
    for i, organ in TABLE.items():
        labels[masks[organ]] = i
    return labels


def import_into_data(capfd: pytest.CaptureFixture[str], source: Path, *options: str) -> Ended:
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
