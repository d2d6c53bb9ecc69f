"""The rules of a consensus: who votes, what is enough, and what becomes of ties."""

import numpy as np
import pytest
import SimpleITK as sitk
from consensus_tool.voting import staple, vote
from scipy.ndimage import gaussian_filter

from contract.labelmaps import LabelMap

ALL = frozenset({1, 2, 300})


def row(*ids: int) -> LabelMap:
    """A label map of one row of voxels, along the last axis."""
    return np.array(ids, np.uint16).reshape(1, 1, -1)


def truth_and_maps(seed: int, count: int) -> tuple[LabelMap, list[LabelMap]]:
    """Two blobs, and label maps of them with errors of their own."""
    random = np.random.default_rng(seed)
    fields = [gaussian_filter(random.normal(size=(24, 20, 70)), 4) for _ in range(2)]
    limits = [np.quantile(field, 0.85) for field in fields]

    def draw(noise: float) -> LabelMap:
        labels = np.zeros(fields[0].shape, np.uint8)
        for label, (field, limit) in enumerate(zip(fields, limits, strict=True), 1):
            disturbed = field + noise * gaussian_filter(random.normal(size=field.shape), 2)
            labels[disturbed > limit] = label
        return labels

    return draw(0), [draw(0.35) for _ in range(count)]


def dice(a: LabelMap, b: LabelMap) -> float:
    return float(np.mean([2 * ((a == i) & (b == i)).sum() / ((a == i).sum() + (b == i).sum()) for i in (1, 2)]))


def test_a_voxel_gets_what_more_than_half_of_the_maps_give_it():
    maps = [row(1, 1, 1, 2, 300), row(1, 1, 2, 0, 300), row(1, 0, 0, 0, 0)]

    assert vote(maps, [ALL] * 3, ALL).tolist() == row(1, 1, 0, 0, 300).tolist()


def test_half_of_the_votes_is_not_enough():
    assert vote([row(1, 1, 2), row(1, 0, 1)], [ALL] * 2, ALL).tolist() == row(1, 0, 0).tolist()


def test_a_map_whose_source_cannot_give_an_organ_does_not_vote_on_it():
    maps = [row(2, 2), row(2, 0), row(0, 0), row(0, 0)]

    assert vote(maps, [ALL, ALL, {1}, {1}], ALL).tolist() == row(2, 0).tolist()
    assert vote(maps, [ALL] * 4, ALL).tolist() == row(0, 0).tolist()


def test_of_two_organs_with_equal_shares_the_lower_id_wins_and_of_others_the_larger_share():
    two_thirds = [row(2), row(2), row(1), row(1), row(1)]

    assert vote(two_thirds, [{2}, {2}, {1, 2}, {1}, {1}], ALL).item() == 1  # 2 of 3 for organ 2, 3 of 3 for organ 1
    assert vote([row(2), row(1)], [{2}, {1}], ALL).item() == 1


@pytest.mark.parametrize("combine", [vote, staple])
def test_equal_maps_are_their_own_consensus(combine):
    truth, _ = truth_and_maps(0, 0)

    assert np.array_equal(combine([truth] * 3, [ALL] * 3, ALL), truth)


@pytest.mark.parametrize("combine", [vote, staple])
@pytest.mark.parametrize("seed", range(5))
def test_the_consensus_of_three_imperfect_maps_is_at_least_as_good_as_the_median_of_them(combine, seed: int):
    truth, maps = truth_and_maps(seed, 3)

    found = dice(combine(maps, [ALL] * 3, ALL), truth)

    assert found >= sorted(dice(labels, truth) for labels in maps)[1]


def test_staple_of_an_organ_is_that_of_simpleitk():
    _, maps = truth_and_maps(7, 3)
    one_organ = [np.where(labels == 1, labels, 0) for labels in maps]

    images = [sitk.GetImageFromArray((labels == 1).astype(np.uint8)) for labels in maps]
    expected = sitk.GetArrayFromImage(sitk.STAPLE(images, 1.0)) > 0.5

    assert np.array_equal(staple(one_organ, [ALL] * 3, ALL) == 1, expected)


def test_a_large_id_and_an_empty_case_keep_their_type():
    assert vote([row(300), row(300)], [ALL] * 2, ALL).dtype == np.uint16
    assert vote([row(0)] * 2, [{1}] * 2, {1}).dtype == np.uint8
    assert not staple([row(0)] * 2, [{1}] * 2, {1}).any()
