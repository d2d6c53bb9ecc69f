import numpy as np
import pytest
from dynunet_trainer.sampling import CROP, case_index, foreground_voxel, keyed_random, patch_origin


def test_every_case_comes_once_before_any_comes_again():
    indices = [case_index(5, k, 7) for k in range(21)]

    for first in (0, 7, 14):
        assert sorted(indices[first : first + 7]) == list(range(7))
    assert indices[:7] != indices[7:14]


def test_order_depends_on_the_seed_and_not_on_what_was_drawn_before():
    forwards = [case_index(0, k, 10) for k in range(30)]
    backwards = [case_index(0, k, 10) for k in reversed(range(30))]

    assert forwards == backwards[::-1]
    assert forwards != [case_index(1, k, 10) for k in range(30)]


def test_random_numbers_of_seeds_purposes_and_samples_differ():
    first = {keyed_random(s, p, k).random() for s in range(4) for p in range(2) for k in range(8)}

    assert len(first) == 64


@pytest.mark.parametrize("k", range(40))
def test_patch_covers_its_centre_and_stays_inside(k):
    random = keyed_random(0, CROP, k)
    shape, patch = (40, 12, 30), (16, 16, 8)
    centre = tuple(random.integers(0, shape).tolist())

    origin = patch_origin(shape, patch, centre, random)

    assert 0 <= origin[0] <= 24
    assert -4 <= origin[1] <= 0
    assert 0 <= origin[2] <= 22
    assert all(o <= c < o + p for o, c, p in zip(origin, centre, patch, strict=True))


def test_random_origins_reach_both_ends():
    origins = np.array([patch_origin((20, 5, 9), (16, 8, 8), None, keyed_random(0, CROP, k)) for k in range(200)])

    assert origins.min(axis=0).tolist() == [0, -3, 0]
    assert origins.max(axis=0).tolist() == [4, 0, 1]


def test_small_organs_are_drawn_as_often_as_large_ones():
    locations = np.array([[1, i] for i in range(500)] + [[4, 901]], np.int32)

    voxels = [foreground_voxel(locations, (10, 10, 10), keyed_random(0, CROP, k)) for k in range(400)]

    small = sum(voxel == (9, 0, 1) for voxel in voxels)
    assert 150 < small < 250
    assert len(set(voxels)) > 100


def test_case_without_foreground_has_no_foreground_voxel():
    assert foreground_voxel(np.zeros((0, 2), np.int32), (4, 4, 4), keyed_random(0, CROP, 0)) is None
