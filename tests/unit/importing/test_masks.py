"""Merging masks: a voxel in several of them goes to the smaller organ, whatever their order."""

from itertools import permutations
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from contract.errors import CaseError
from contract.grids import Grid
from coordinator.datasets.importing.masks import merge_masks

GRID = Grid((6, 1, 1), np.diag([2.0, 3.0, 4.0, 1.0]))


def write(path: Path, voxels: list[int], affine: np.ndarray = GRID.affine) -> Path:
    nib.save(nib.Nifti1Image(np.array(voxels, np.uint8).reshape(6, 1, 1), affine), path)
    return path


@pytest.mark.parametrize("order", list(permutations([3, 7, 300])))
def test_the_smallest_of_three_masks_gets_a_voxel_and_each_loser_is_counted(order: tuple[int, ...], tmp_path: Path):
    files = {
        3: write(tmp_path / "liver.nii.gz", [1, 1, 1, 1, 0, 0]),
        7: write(tmp_path / "vein.nii.gz", [0, 0, 255, 255, 0, 0]),
        300: write(tmp_path / "kidney.nii.gz", [0, 0, 0, 1, 1, 1]),
    }

    merged = merge_masks([(label, files[label]) for label in order], GRID)

    assert merged.labels.ravel().tolist() == [3, 3, 7, 7, 300, 300]
    assert merged.overlaps == {(7, 3): 2, (7, 300): 1}
    assert merged.voxels == 2


def test_of_two_equally_large_masks_the_lower_id_gets_the_voxel(tmp_path: Path):
    one, two = write(tmp_path / "a.nii.gz", [1, 1, 0, 0, 0, 0]), write(tmp_path / "b.nii.gz", [0, 1, 1, 0, 0, 0])

    assert merge_masks([(2, one), (1, two)], GRID).labels.ravel().tolist() == [2, 1, 1, 0, 0, 0]
    assert merge_masks([(1, one), (2, two)], GRID).labels.ravel().tolist() == [1, 1, 2, 0, 0, 0]


def test_a_mask_that_is_stored_mirrored_is_merged_where_it_lies_in_the_world(tmp_path: Path):
    mirrored = GRID.affine.copy()
    mirrored[0, 0], mirrored[0, 3] = -2, 10
    mask = write(tmp_path / "a.nii.gz", [0, 0, 0, 0, 1, 1], mirrored)

    assert merge_masks([(1, mask)], GRID).labels.ravel().tolist() == [1, 1, 0, 0, 0, 0]


def test_a_label_map_among_masks_is_refused(tmp_path: Path):
    with pytest.raises(CaseError, match=r"m\.nii\.gz: a mask must hold 0 and one other value, but holds \[1, 2\]"):
        merge_masks([(1, write(tmp_path / "m.nii.gz", [0, 1, 2, 0, 0, 0]))], GRID)
