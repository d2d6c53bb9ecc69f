"""Remapping voxels: all ids at once, nothing dropped in silence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import CaseError
from coordinator.datasets.remap import remap_labels


def test_swaps_do_not_chain() -> None:
    labels = np.array([[[0, 1, 2, 2]]], np.uint8)

    assert remap_labels(labels, {1: 2, 2: 1}).tolist() == [[[0, 2, 1, 1]]]


def test_an_id_that_is_not_named_fails() -> None:
    with pytest.raises(CaseError, match=r"these are not: \[3, 9\]"):
        remap_labels(np.array([[[0, 1, 3, 9]]], np.uint16), {1: 1, 2: 2})


def test_target_ids_above_255_are_kept() -> None:
    result = remap_labels(np.array([[[1]]], np.uint8), {1: 300})

    assert result.dtype == np.uint16
    assert result.tolist() == [[[300]]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
@pytest.mark.parametrize("highest", [117, 255])
def test_every_voxel_gets_its_ids_target_however_the_array_lies_in_memory(
    dtype: type[np.integer], highest: int
) -> None:
    random = np.random.default_rng(3)
    labels = random.integers(0, highest + 1, (19, 31, 47)).astype(dtype)
    labels[random.random(labels.shape) < 0.3] = 0
    labels[3:15] = 0  # blocks without any organ
    to_target = {source: int(random.integers(0, 17)) for source in range(1, highest + 1)}
    expected = np.array([0, *to_target.values()])[labels]

    for turned in (lambda a: a, np.asfortranarray, lambda a: a.transpose(2, 0, 1)[:, ::-1], lambda a: a[::2, 1:, ::-3]):
        result = remap_labels(turned(labels), to_target)

        assert result.dtype == np.uint8
        assert result.flags.writeable
        np.testing.assert_array_equal(result, turned(expected))


@pytest.mark.parametrize("place", [(0, 0, 0), (18, 30, 46), (9, 15, 20)])
def test_one_unknown_voxel_anywhere_fails(place: tuple[int, int, int]) -> None:
    labels = np.zeros((19, 31, 47), np.uint8)
    labels[place] = 200

    with pytest.raises(CaseError, match=r"these are not: \[200\]"):
        remap_labels(labels, {1: 1})


def test_a_negative_id_fails() -> None:
    with pytest.raises(CaseError, match=r"these are not: \[-1\]"):
        remap_labels(np.array([[[0, -1, 1]]], np.int16), {1: 1})


def test_an_empty_map_stays_empty() -> None:
    assert remap_labels(np.zeros((0, 3, 2), np.uint8), {1: 1}).shape == (0, 3, 2)


@given(
    labels=st.lists(st.integers(0, 6), min_size=1, max_size=100),
    targets=st.lists(st.sampled_from([0, 1, 2, 254, 255, 256, 400]), min_size=6, max_size=6),
)
def test_every_voxel_gets_its_ids_target(labels: list[int], targets: list[int]) -> None:
    to_target = {source + 1: target for source, target in enumerate(targets)}

    result = remap_labels(np.array(labels, np.uint8).reshape(1, 1, -1), to_target)

    assert result.ravel().tolist() == [{0: 0, **to_target}[label] for label in labels]
