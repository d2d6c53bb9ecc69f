from dataclasses import replace

import numpy as np
import pytest
from dynunet_trainer.augmentation import draw_placement
from dynunet_trainer.sampling import (
    AUGMENT,
    CROP,
    UNCHANGED,
    Augmentation,
    Sampler,
    case_index,
    foreground_voxel,
    keyed_random,
    patch_origin,
)
from dynunet_trainer.store import open_label_store, open_store


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


@pytest.fixture(scope="module")
def versions(bench):
    """Samplers of two label versions of one store; the second one's organs are one voxel smaller on a side."""
    import nibabel as nib

    folder = bench.folder / "eroded"
    if not folder.exists():
        folder.mkdir()
        for case in "abcd":
            image = nib.load(bench.labels / f"{case}.nii.gz")
            array = np.asarray(image.dataobj).copy()
            array[:-2][array[2:] == 0] = 0
            nib.save(nib.Nifti1Image(array, image.affine), folder / f"{case}.nii.gz")
        bench.run("prepare-labels", "labels-eroded", store=bench.out("store"), labels=folder)
    store, base = open_store(bench.out("store")), open_label_store(bench.out("labels"))
    other = open_label_store(bench.out("labels-eroded"))

    def make(labels, foreground_of, augmentation_seed=0):
        return Sampler(store, labels, store.training, 0, 0.6, foreground_of, Augmentation(augmentation_seed, (1, 2)))

    return base, other, make


@pytest.mark.parametrize("foreground_from", ["reference", "none"])
def test_with_foreground_of_the_reference_or_of_none_another_version_changes_labels_only(versions, foreground_from):
    base, other, make = versions
    foreground = base if foreground_from == "reference" else None
    one, two = make(base, foreground), make(other, foreground)

    pairs = [(one.patch(k), two.patch(k)) for k in range(24)]

    assert all(a[0].tobytes() == b[0].tobytes() for a, b in pairs)
    assert any(a[1].tobytes() != b[1].tobytes() for a, b in pairs)


def test_with_its_own_foreground_another_version_changes_nothing_but_the_place_of_crops(versions):
    base, other, make = versions
    one, two = make(base, base), make(other, other)
    same_place = [one._origin("a", k) == two._origin("a", k) for k in range(60)]
    placed = [
        (one._read_patch("a", (2, 1, 0), p), two._read_patch("a", (2, 1, 0), p))
        for p in (draw_placement(keyed_random(0, AUGMENT, k), one.store.plan, (1, 2)) for k in range(12))
    ]

    assert 0 < sum(same_place) < 60
    assert all(a[0].tobytes() == b[0].tobytes() for a, b in placed)


def test_another_augmentation_seed_changes_images_and_labels(versions):
    base, _, make = versions
    one, two = make(base, base), make(base, base, augmentation_seed=1)

    pairs = [(one.patch(k), two.patch(k)) for k in range(12)]

    assert any(a[0].tobytes() != b[0].tobytes() for a, b in pairs)
    assert any(a[1].tobytes() != b[1].tobytes() for a, b in pairs)
    assert [one._origin("a", k) for k in range(12)] == [two._origin("a", k) for k in range(12)]


def test_an_unchanged_patch_is_the_crop_of_the_stored_volume(versions):
    base, _, make = versions
    plain = replace(make(base, base), augmentation=None)
    stored = np.pad(np.asarray(plain.store.image("a")), 16, constant_values=-32768) / 8
    labels = np.pad(base.labels("a"), 16)

    image, channels = plain._read_patch("a", (-3, 5, 2), UNCHANGED)

    box = np.s_[13:29, 21:37, 18:26]
    assert np.allclose(image, plain.store.plan.normalisation.apply(stored[box].astype(np.float32)), atol=1e-5)
    assert (channels == labels[box]).all()
