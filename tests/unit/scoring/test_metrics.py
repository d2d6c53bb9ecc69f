"""Dice and surface Dice against hand-computed values, DeepMind's package and its algorithm."""

import math
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pytest
from helpers.surface_oracle import Mask, Spacing, oracle_dice, oracle_surface_dice
from numpy.typing import NDArray

from coordinator.scoring.metrics import UnknownIdsError, dice, score_case, surface_dice
from coordinator.scoring.settings import Scoring

# Seed, spacing, tolerance -> Dice and surface Dice by DeepMind's surface-distance 0.1 (NumPy 1.26) of `seeded_pair`.
DEEPMIND = [
    (0, (1.0, 1.0, 1.0), 0.5, 0.3712230215827338, 0.4141403189132248),
    (1, (0.8, 0.8, 2.5), 1.0, 0.28921568627450983, 0.6464977653699658),
    (2, (5.0, 0.7, 0.7), 1.6, 0.4, 0.9759677879441525),
    (3, (1.5, 0.6, 3.0), 2.4, 0.5319148936170213, 0.8662756475337068),
    (4, (1.0, 1.0, 1.0), 3.0, 0.4128205128205128, 0.9925339927457328),
    (5, (0.8, 0.8, 2.5), 0.5, 0.2088167053364269, 0.3570131002603339),
    (6, (5.0, 0.7, 0.7), 1.0, 0.7228915662650602, 0.9041679827946073),
    (7, (1.5, 0.6, 3.0), 1.6, 0.5692883895131086, 0.8483130961209374),
    (8, (1.0, 1.0, 1.0), 2.4, 0.4662576687116564, 0.9926109724942909),
    (9, (0.8, 0.8, 2.5), 3.0, 0.40784313725490196, 0.9756318963090748),
]


def seeded_pair(seed: int) -> tuple[Mask, Mask]:
    """Two ragged ellipsoids with stray voxels, some of them on the volume's border."""
    random = np.random.default_rng(seed)
    shape = tuple(int(n) for n in random.integers(6, 15, 3))
    grid = np.indices(shape).astype(float)
    masks = []
    for _ in range(2):
        centre = random.uniform(0.3, 0.7, 3) * shape
        radius = random.uniform(0.2, 0.55, 3) * shape
        ball = sum(((g - c) / r) ** 2 for g, c, r in zip(grid, centre, radius, strict=True)) < 1
        masks.append(ball ^ (random.random(shape) < 0.02))
    return masks[0], masks[1]


def slab(z: int, shape: tuple[int, int, int] = (6, 5, 7)) -> Mask:
    """One slice of an organ, away from the border in x and y."""
    mask = np.zeros(shape, bool)
    mask[1:5, 1:4, z] = True
    return mask


@pytest.mark.parametrize(("seed", "spacing_mm", "tolerance_mm", "expected_dice", "expected_surface_dice"), DEEPMIND)
def test_both_metrics_are_deepminds(
    seed: int, spacing_mm: Spacing, tolerance_mm: float, expected_dice: float, expected_surface_dice: float
):
    reference, prediction = seeded_pair(seed)

    assert dice(reference, prediction) == pytest.approx(expected_dice, abs=1e-12)
    assert surface_dice(reference, prediction, spacing_mm, tolerance_mm) == pytest.approx(
        expected_surface_dice, abs=1e-12
    )


def test_one_slice_shifted_by_one_slice_scores_half():
    assert surface_dice(slab(2), slab(3), (1.0, 1.0, 2.5), 1.0) == pytest.approx(0.5)


def test_equal_masks_score_one():
    assert dice(slab(2), slab(2)) == 1.0
    assert surface_dice(slab(2), slab(2), (1.0, 1.0, 2.5), 0.0) == 1.0


def test_masks_that_share_nothing_and_lie_far_apart_score_zero():
    assert dice(slab(0), slab(6)) == 0.0
    assert surface_dice(slab(0), slab(6), (1.0, 1.0, 2.5), 1.0) == 0.0


def test_dice_is_twice_the_shared_volume_over_both():
    reference, prediction = np.zeros((2, 4, 5), bool), np.zeros((2, 4, 5), bool)
    reference[0, 0, :3] = True
    prediction[0, 0, 1:5] = True

    assert dice(reference, prediction) == pytest.approx(2 * 2 / (3 + 4))


def test_two_empty_masks_have_no_score():
    nothing = np.zeros((3, 4, 5), bool)

    assert math.isnan(dice(nothing, nothing))
    assert math.isnan(surface_dice(nothing, nothing, (1.0, 1.0, 1.0), 1.0))


@pytest.mark.parametrize("swapped", [False, True])
def test_one_empty_mask_scores_zero(swapped: bool):
    masks = (slab(2), np.zeros_like(slab(2)))[:: -1 if swapped else 1]

    assert dice(*masks) == 0.0
    assert surface_dice(*masks, (1.0, 1.0, 1.0), 100.0) == 0.0


def test_a_distance_of_exactly_the_tolerance_counts():
    one, other = np.zeros((5, 5, 9), bool), np.zeros((5, 5, 9), bool)
    one[2, 2, 2] = True
    other[2, 2, 4] = True

    assert surface_dice(one, other, (1.0, 1.0, 0.8), 1.6) == 1.0
    assert surface_dice(one, other, (1.0, 1.0, 0.8), 1.59) < 1.0


def test_spacing_read_as_float32_is_rounded():
    one, other = np.zeros((5, 5, 9), bool), np.zeros((5, 5, 9), bool)
    one[2, 2, 2] = True
    other[2, 2, 4] = True

    assert surface_dice(one, other, (1.0, 1.0, float(np.float32(0.8))), 1.6) == 1.0


def test_the_border_of_the_volume_counts_as_outside():
    full, hollow = np.ones((4, 4, 4), bool), np.ones((4, 4, 4), bool)
    hollow[1:3, 1:3, 1:3] = False

    assert 0 < surface_dice(full, hollow, (1.0, 1.0, 1.0), 0.5) < 1


def test_a_case_is_scored_organ_by_organ():
    reference, prediction = np.zeros((6, 5, 7), np.uint8), np.zeros((6, 5, 7), np.uint8)
    reference[slab(2)], prediction[slab(3)] = 4, 4
    prediction[0, 0, 0] = 9

    liver, spleen, tumour = score_case(
        reference, prediction, (1.0, 1.0, 2.5), {4: "liver", 7: "spleen", 9: "tumour"}, Scoring(1.0)
    )

    assert (liver.label, liver.organ, liver.dice, liver.surface_dice) == (4, "liver", 0.0, pytest.approx(0.5))
    assert (liver.reference_voxels, liver.prediction_voxels) == (12, 12)
    assert (liver.reference_ml, liver.prediction_ml) == (pytest.approx(0.03), pytest.approx(0.03))
    assert math.isnan(spleen.dice) and math.isnan(spleen.surface_dice) and spleen.reference_voxels == 0
    assert (tumour.dice, tumour.surface_dice, tumour.prediction_voxels) == (0.0, 0.0, 1)


def test_organs_that_touch_are_scored_as_if_alone():
    reference, prediction = (sum((i + 1) * m for i, m in enumerate(seeded_pair(s))) for s in (3, 3))
    prediction = np.roll(prediction, 1, axis=0)

    scores = score_case(reference, prediction, (0.8, 0.8, 2.5), {1: "a", 2: "b", 3: "c"}, Scoring(1.0))

    alone = [surface_dice(reference == i, prediction == i, (0.8, 0.8, 2.5), 1.0) for i in (1, 2, 3)]
    assert [score.surface_dice for score in scores] == pytest.approx(alone)


def test_two_grids_are_refused():
    with pytest.raises(ValueError, match=r"one grid, but have shapes \(6, 5, 7\) and \(6, 5, 8\)"):
        dice(slab(2), slab(2, (6, 5, 8)))


def test_a_negative_tolerance_is_refused():
    with pytest.raises(ValueError, match="at least 0, but it is -1"):
        surface_dice(slab(2), slab(2), (1.0, 1.0, 1.0), -1)


def grid_of_organs(count: int) -> NDArray[np.uint8]:
    """Small boxes side by side, each another organ."""
    labels = np.zeros((40, 34, 9), np.uint8)
    for label, (x, y) in zip(range(1, count + 1), product(range(0, 40, 4), range(0, 34, 4)), strict=False):
        labels[x : x + 3, y : y + 2 + label % 3, 2 : 4 + label % 4] = label
    return labels


@pytest.mark.parametrize("count", [16, 17, 32, 33, 64, 70])
def test_more_organs_than_bits_are_scored_as_if_alone(count: int):
    reference = grid_of_organs(count)
    prediction = np.roll(reference, 1, axis=1)
    labels = {label: f"organ {label}" for label in range(1, count + 1)}

    scores = score_case(reference, prediction, (1.0, 0.8, 2.5), labels, Scoring(0.5))

    expected = [oracle_surface_dice(reference == i, prediction == i, (1.0, 0.8, 2.5), (0.5,))[0] for i in labels]
    assert [score.surface_dice for score in scores] == pytest.approx(expected, abs=1e-9)


def test_ids_do_not_matter_and_order_is_that_of_the_table():
    reference = grid_of_organs(3)
    prediction = np.roll(reference, 1, axis=0)
    far = np.array([0, 65535, 256, 1], np.uint16)

    plain = score_case(reference, prediction, (1, 1, 1), {2: "b", 1: "a", 3: "c"}, Scoring())
    mapped = score_case(far[reference], far[prediction], (1, 1, 1), {256: "b", 65535: "a", 1: "c"}, Scoring())

    assert [(s.organ, s.dice, s.surface_dice) for s in mapped] == [(s.organ, s.dice, s.surface_dice) for s in plain]


def test_an_id_may_be_larger_than_those_of_a_case():
    labels = grid_of_organs(1)

    here, elsewhere = score_case(labels, labels, (1, 1, 1), {1: "a", 300: "b"}, Scoring())

    assert (here.dice, here.surface_dice) == (1, 1)
    assert math.isnan(elsewhere.dice) and elsewhere.reference_voxels == elsewhere.prediction_voxels == 0


def test_organs_have_tolerances_of_their_own():
    reference = grid_of_organs(3)
    prediction = np.roll(reference, 1, axis=1)
    scoring = Scoring(0.5, of_organ_mm={"b": 2.0}, also_mm=(1.0,))

    scores = score_case(reference, prediction, (1, 1, 1), {1: "a", 2: "b", 3: "c"}, scoring)

    assert [score.tolerance_mm for score in scores] == [0.5, 2.0, 0.5]
    for score, tolerance_mm in zip(scores, (0.5, 2.0, 0.5), strict=True):
        masks = reference == score.label, prediction == score.label
        expected = oracle_surface_dice(*masks, (1, 1, 1), (tolerance_mm, 1.0))
        assert [score.surface_dice, *score.surface_dice_also] == pytest.approx(expected)


def test_an_organ_can_be_scored_in_labelled_slices_alone_without_the_last():
    reference, prediction = np.zeros((6, 5, 9), np.uint8), np.zeros((6, 5, 9), np.uint8)
    reference[1:4, 1:4, 3:7] = 1
    prediction[1:4, 1:3, 1:9] = 1

    (score,) = score_case(reference, prediction, (1, 1, 2.5), {1: "aorta"}, Scoring(labelled_slices=("aorta",)))

    masks = reference[:, :, 3:6] == 1, prediction[:, :, 3:6] == 1
    assert score.dice == pytest.approx(2 * 18 / (27 + 18)) == pytest.approx(oracle_dice(*masks))
    assert score.surface_dice == pytest.approx(oracle_surface_dice(*masks, (1, 1, 2.5), (1.0,))[0])
    assert (score.reference_voxels, score.prediction_voxels) == (36, 48)


def test_scores_are_the_same_bits_for_any_number_of_threads():
    reference = grid_of_organs(70)
    predictions = [np.roll(reference, n, axis=0) for n in range(8)]
    labels = {label: str(label) for label in range(1, 71)}

    def score(prediction: NDArray[np.uint8]) -> list[object]:
        return list(score_case(reference, prediction, (0.7, 0.8, 2.5), labels, Scoring(1.0, distances=True)))

    with ThreadPoolExecutor(4) as pool:
        assert repr(list(pool.map(score, predictions))) == repr([score(p) for p in predictions])


def test_nothing_to_score_is_no_error():
    assert score_case(grid_of_organs(0), grid_of_organs(0), (1, 1, 1), {}, Scoring()) == []


def test_other_ids_than_those_to_score_are_refused():
    reference, prediction = grid_of_organs(3), grid_of_organs(2)
    prediction[0, 0] = 7

    with pytest.raises(UnknownIdsError) as refused:
        score_case(reference, prediction, (1, 1, 1), {1: "a", 2: "b"}, Scoring())

    assert refused.value.reference == {3: int((reference == 3).sum())}
    assert refused.value.prediction == {7: 9}


def test_negative_ids_are_refused():
    labels = np.full((3, 4, 5), -1, np.int16)

    with pytest.raises(ValueError, match=r"ids must lie in 0..65535, but go from -1 to 0"):
        score_case(labels, labels, (1, 1, 1), {1: "a"}, Scoring())
