"""The same scan twice is found by its values, however it is stored."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from contract.datasets import open_dataset
from coordinator.datasets.check import check_dataset, find_shared_scans
from coordinator.datasets.twins import group_equal, join_groups, values_digest

AFFINE = np.array([[-1.5, 0.3, 0, -9], [0.3, 1.4, 0.1, 5], [0, -0.1, 2.5, 40], [0, 0, 0, 1]], np.float64)
VOXELS = np.random.default_rng(4).integers(-1000, 1500, (7, 6, 5), np.int16)


def once_more(file: Path) -> None:
    nib.save(nib.Nifti1Image(VOXELS, AFFINE), file)


def as_int32(file: Path) -> None:
    nib.save(nib.Nifti1Image(VOXELS.astype(np.int32), AFFINE), file)


def as_float64(file: Path) -> None:
    nib.save(nib.Nifti1Image(VOXELS.astype(np.float64), AFFINE), file)


def scaled(file: Path) -> None:
    """Stored as tenths of HU from an offset, as a scale of the header says."""
    image = nib.Nifti1Image(((VOXELS.astype(np.int32) + 1024) * 10).astype(np.int16), AFFINE)
    image.header.set_slope_inter(0.1, -1024)
    nib.save(image, file)


def with_fake_spacing(file: Path) -> None:
    nib.save(nib.Nifti1Image(VOXELS, np.eye(4)), file)


def turned(file: Path) -> None:
    nib.save(nib.Nifti1Image(np.ascontiguousarray(VOXELS[::-1].transpose(2, 0, 1)), np.diag([3.0, 2, 1, 1])), file)


def uncompressed_level(file: Path) -> None:
    import gzip

    file.write_bytes(gzip.compress(nib.Nifti1Image(VOXELS, AFFINE).to_bytes(), compresslevel=0))


def make_dataset(folder: Path, **images: Callable[[Path], None]) -> Path:
    """A dataset without labels."""
    (folder / "images").mkdir(parents=True)
    (folder / "dataset.yaml").write_text(f"name: {folder.name}\n")
    for case, write in images.items():
        write(folder / "images" / f"{case}.nii.gz")
    return folder


def another(file: Path) -> None:
    nib.save(nib.Nifti1Image(np.roll(VOXELS, 1, axis=0), AFFINE), file)


@pytest.mark.parametrize(
    "write", [once_more, as_int32, as_float64, scaled, with_fake_spacing, turned, uncompressed_level]
)
def test_a_twin_is_found_by_its_values(tmp_path: Path, write: Callable[[Path], None]):
    folder = make_dataset(tmp_path / "toy", a=once_more, b=another, c=write)

    checked = check_dataset(open_dataset(folder.parent, "toy"))

    assert checked.twins == [("a", "c")]
    assert "cases with the same scan: a, c; a split keeps them on one side" in checked.warnings


def test_a_twin_in_another_dataset_is_found(tmp_path: Path):
    make_dataset(tmp_path / "one", a=once_more, b=another)
    make_dataset(
        tmp_path / "two", x=another, y=as_int32, z=lambda file: nib.save(nib.Nifti1Image(VOXELS // 2, AFFINE), file)
    )
    one, two = (check_dataset(open_dataset(tmp_path, name)) for name in ("one", "two"))

    assert find_shared_scans(two, one) == {"x": "b", "y": "a"}
    assert find_shared_scans(one, one) == {}


def test_one_voxel_makes_another_scan():
    changed = VOXELS.copy()
    changed[3, 2, 1] += 1

    assert values_digest(changed) != values_digest(VOXELS)


def test_cases_that_could_not_be_read_are_nobodys_twins():
    assert group_equal({"a": None, "b": None, "c": "1"}) == []


def test_groups_that_share_a_case_are_one():
    groups = [("a", "b"), ("d", "e"), ("b", "c"), ("x", "y"), ("c", "d")]

    assert join_groups(groups) == [("a", "b", "c", "d", "e"), ("x", "y")]
