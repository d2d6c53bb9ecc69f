"""What is too small to be an organ is removed."""

from pathlib import Path

import numpy as np
from cads_tool.cleaning import FEWEST_VOXELS, FILLED, LARGEST_ALONE, clean

from contract.manifest import load_manifest

TOOL = Path(__file__).resolve().parents[3] / "containers" / "cads"

NAMES = {1: "gallbladder", 2: "rib_left_1", 3: "sternum", 4: "left_mammary_gland", 5: "liver"}


def volume() -> np.ndarray:
    return np.zeros((30, 24, 20), np.uint8)


def test_parts_with_too_few_voxels_are_removed_and_all_others_stay():
    labels = volume()
    labels[1:6, 1:5, 1] = 1  # 20 voxels, the fewest that stay
    labels[10:29, 1, 1] = 1  # 19 voxels
    labels[15, 15, 15] = 5

    cleaned = clean(labels, NAMES)

    expected = volume()
    expected[1:6, 1:5, 1] = 1
    np.testing.assert_array_equal(cleaned, expected)


def test_parts_that_touch_at_a_corner_are_one():
    labels = volume()
    labels[1:11, 1, 1] = 1
    labels[11:21, 2, 2] = 1

    assert np.count_nonzero(clean(labels, NAMES)) == 20


def test_structures_that_upstream_leaves_alone_stay_however_small():
    labels = volume()
    labels[3, 4, 5] = 2

    np.testing.assert_array_equal(clean(labels, NAMES), labels)


def test_of_some_structures_the_largest_part_alone_stays():
    labels = volume()
    labels[1:16, 1:11, 1:12] = 3  # 1650 voxels
    labels[1:16, 12:23, 1:12] = 3  # 1815 voxels

    cleaned = clean(labels, NAMES)

    assert cleaned[5, 15, 5] == 3
    assert np.count_nonzero(cleaned) == 1815


def test_holes_of_a_mammary_gland_are_filled_in_the_volume_and_in_slices_but_not_with_what_is_another_structure():
    labels = volume()
    labels[2:12, 2:12, 2:12] = 4
    labels[5, 5, 5] = 0
    labels[6, 6, 6] = 2
    labels[8, 8, :12] = 0  # a canal: open in the volume, a hole in each axial slice

    cleaned = clean(labels, NAMES)

    expected = volume()
    expected[2:12, 2:12, 2:12] = 4
    expected[6, 6, 6] = 2
    np.testing.assert_array_equal(cleaned, expected)


def test_a_label_map_without_structures_stays_empty():
    assert not clean(volume(), NAMES).any()


def test_every_structure_that_is_named_exists():
    labels = load_manifest(TOOL).variant("open").labels

    assert isinstance(labels, dict)
    assert {*FEWEST_VOXELS, *LARGEST_ALONE, *FILLED} <= set(labels.values())
    assert set(FEWEST_VOXELS) >= LARGEST_ALONE | FILLED
