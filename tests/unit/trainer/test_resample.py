import numpy as np
import pytest
from dynunet_trainer.resample import highest_channel, resample_image, resample_labels, resampled_shape
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.transform import resize


def random_of(seed):
    return np.random.Generator(np.random.Philox(key=seed))


def blobs(seed, shape, labels):
    """Label maps with smooth borders."""
    fields = [ndimage.gaussian_filter(random_of(seed + i).normal(size=shape), 1.5) for i in range(labels)]
    return np.argmax(fields, axis=0).astype(np.uint8)


def test_shape_follows_the_spacing():
    assert resampled_shape((512, 512, 200), (0.9, 0.9, 2.0), (1.0, 1.0, 1.5)) == (461, 461, 267)
    assert resampled_shape((5, 5, 1), (1.0, 1.0, 0.5), (1.0, 1.0, 5.0)) == (5, 5, 1)


@pytest.mark.parametrize("shape", [(9, 40, 11), (33, 8, 25), (20, 17, 13), (1, 17, 30)])
def test_image_is_resampled_as_skimage_does(shape):
    image = random_of(1).integers(-1000, 1500, (20, 17, 13)).astype(np.int16)

    found = resample_image(image, shape)

    expected = resize(image.astype(float), shape, order=3, mode="edge", anti_aliasing=False, clip=True)
    assert np.abs(found - expected).max() < 0.01  # HU


def test_single_slice_is_resampled_as_skimage_does():
    image = random_of(2).integers(-1000, 1500, (20, 17, 1)).astype(np.int16)

    found = resample_image(image, (13, 21, 3))

    expected = resize(image.astype(float), (13, 21, 3), order=3, mode="edge", anti_aliasing=False, clip=True)
    assert np.abs(found - expected).max() < 0.01


def shares_by_scipy(labels, shape):
    """(L, x, y, z) float64 share of each label, by scipy."""
    factors = np.divide(shape, labels.shape)
    return np.stack(
        [ndimage.zoom((labels == i).astype(float), factors, order=1, mode="nearest", grid_mode=True)
         for i in range(int(labels.max()) + 1)]
    )  # fmt: skip


def nearest_by_hand(labels, shape):
    """The nearest source voxel; the lower index at equal distance."""
    axes = []
    for n_in, n_out in zip(labels.shape, shape, strict=True):
        at = (2 * np.arange(n_out) + 1) * n_in  # twice n_out times (index + 1/2), so that halves are exact
        axes.append(np.clip(np.ceil(at / (2 * n_out) - 1).astype(int), 0, n_in - 1))
    return labels[np.ix_(*axes)]


@pytest.mark.parametrize("shape", [(23, 31, 17), (12, 12, 12), (24, 24, 24), (48, 12, 30), (7, 24, 40), (1, 1, 1)])
def test_labels_are_the_argmax_of_linear_shares_and_ties_go_to_the_nearest(shape):
    labels = blobs(3, (24, 24, 24), 6)

    found = resample_labels(labels, shape)

    assert (found == voted(shares_by_scipy(labels, shape), nearest_by_hand(labels, shape))).all()
    assert found.dtype == np.uint8


def voted(shares, nearest):
    """The label with the largest share; of equals the nearest's, else the lowest."""
    tied = shares >= shares.max(axis=0) - 1e-9
    nearest_is_tied = np.take_along_axis(tied, nearest[None].astype(int), axis=0)[0]
    return np.where(nearest_is_tied, nearest, tied.argmax(axis=0))


def test_shares_that_are_nearly_equal_are_told_apart():
    labels = random_of(4).integers(0, 3, (300, 300, 4), np.uint8)
    shape = (271, 269, 7)

    found = resample_labels(labels, shape)

    shares = shares_by_scipy(labels, shape)
    assert (found == voted(shares, nearest_by_hand(labels, shape))).all()
    lead = np.diff(np.sort(shares, axis=0)[-2:], axis=0)
    assert ((lead > 1e-9) & (lead < 5e-6)).any()


def test_thin_labels_are_not_lost_as_nearest_would_lose_them():
    labels = np.zeros((9, 9, 9), np.uint8)
    labels[4:6] = 1

    found = resample_labels(labels, (12, 9, 9))

    assert found[:, 4, 4].tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.tuples(*[st.integers(1, 9)] * 3), st.tuples(*[st.integers(1, 12)] * 3))
def test_no_label_appears_from_nowhere_and_the_same_shape_changes_nothing(seed, shape, target):
    labels = random_of(seed).choice(np.array([0, 2, 5, 255], np.uint8), shape)

    assert set(np.unique(resample_labels(labels, target))) <= set(np.unique(labels))
    assert (resample_labels(labels, shape) == labels).all()


def test_highest_channel_is_the_argmax_of_linear_scores():
    scores = random_of(4).normal(size=(5, 9, 12, 7)).astype(np.float32)

    found = highest_channel(scores, (17, 10, 21))

    factors = np.divide((17, 10, 21), (9, 12, 7))
    linear = np.stack([ndimage.zoom(s.astype(float), factors, order=1, mode="nearest", grid_mode=True) for s in scores])
    top = np.sort(linear, axis=0)
    clear = top[-1] - top[-2] > 1e-5
    assert clear.mean() > 0.99
    assert (found == linear.argmax(axis=0))[clear].all()
