"""Dice and surface Dice against hand-computed values, DeepMind's package and a slow reference of our own."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy
from numpy.typing import NDArray

from coordinator.metrics import Scoring, dice, score_case, surface_dice
from coordinator.surface_area_table import surface_areas

Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]

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

# Neighbour code -> area at 1.3, 0.7, 2.1 mm by the same package: pentagons, planar and bent hexagons, several sheets.
DEEPMIND_AREAS = {
    7: 1.9467723331962983,
    23: 2.4235446663925964,
    27: 2.7673327281830336,
    30: 2.3506964442617306,
    60: 3.1006128426490145,
    61: 1.95423053238994,
    105: 1.6156964442617308,
    247: 0.4039241110654327,
}


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


def slow_surface_dice(reference: Mask, prediction: Mask, spacing_mm: Spacing, tolerance_mm: float) -> float:
    """The definition as loops: each cell's code, each pair's distance."""
    areas = surface_areas(spacing_mm)
    surfaces = [_slow_elements(np.pad(mask, 1)) for mask in (reference, prediction)]
    within = everything = 0.0
    for mine, others in (surfaces, surfaces[::-1]):
        for cell, code in mine.items():
            near = any(math.hypot(*(np.subtract(cell, o) * spacing_mm)) <= tolerance_mm for o in others)
            within += areas[code] * near
            everything += areas[code]
    return within / everything if everything else math.nan


def _slow_elements(padded: Mask) -> dict[tuple[int, ...], int]:
    codes = {}
    for cell in product(*(range(n - 1) for n in padded.shape)):
        bits = [padded[tuple(np.add(cell, corner))] for corner in product((0, 1), repeat=3)]
        code = int("".join(str(int(bit)) for bit in bits), 2)
        if 0 < code < 255:
            codes[cell] = code
    return codes


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


def test_areas_of_neighbour_codes_are_deepminds():
    areas = surface_areas((1.3, 0.7, 2.1))

    assert {code: areas[code] for code in DEEPMIND_AREAS} == pytest.approx(DEEPMIND_AREAS, abs=1e-12)
    assert areas.sum() == pytest.approx(439.6977386951819, abs=1e-9)


def test_flat_cells_have_the_area_of_a_voxel_face():
    areas = surface_areas((2.0, 3.0, 5.0))

    assert [areas[0b11110000], areas[0b11001100], areas[0b10101010]] == pytest.approx([15.0, 10.0, 6.0])


def test_a_code_and_its_complement_have_one_area():
    areas = surface_areas((0.7, 1.1, 2.3))

    assert areas == pytest.approx(areas[::-1])


def test_areas_follow_the_axes():
    areas, swapped = surface_areas((0.7, 1.1, 2.3)), surface_areas((2.3, 1.1, 0.7))

    codes = np.arange(256)
    bits = (codes[:, None] >> np.arange(7, -1, -1) & 1).reshape(-1, 2, 2, 2).transpose(0, 3, 2, 1).reshape(-1, 8)
    assert areas == pytest.approx(swapped[np.packbits(bits.astype(np.uint8), axis=1)[:, 0]])


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


MASK = hypothesis_numpy.arrays(bool, (3, 4, 5))
SPACING = st.tuples(*[st.sampled_from([0.5, 0.8, 1.0, 2.5])] * 3)


@settings(max_examples=25, deadline=None)
@given(MASK, MASK, SPACING, st.sampled_from([0.0, 0.7, 1.1, 1.7, 2.3]))
def test_any_two_masks_score_as_the_slow_reference(
    reference: Mask, prediction: Mask, spacing_mm: Spacing, tolerance_mm: float
):
    expected = slow_surface_dice(reference, prediction, spacing_mm, tolerance_mm)

    assert surface_dice(reference, prediction, spacing_mm, tolerance_mm) == pytest.approx(
        expected, abs=1e-9, nan_ok=True
    )


@settings(max_examples=25, deadline=None)
@given(MASK, MASK, SPACING)
def test_order_of_masks_of_axes_and_of_memory_does_not_matter(reference: Mask, prediction: Mask, spacing_mm: Spacing):
    score = surface_dice(reference, prediction, spacing_mm, 1.0)

    others = [
        surface_dice(prediction, reference, spacing_mm, 1.0),
        surface_dice(reference.transpose(1, 2, 0), prediction.transpose(1, 2, 0), spacing_mm[1:] + spacing_mm[:1], 1.0),
        surface_dice(reference[::-1, :, ::-1], prediction[::-1, :, ::-1], spacing_mm, 1.0),
        surface_dice(np.asfortranarray(reference), np.asfortranarray(prediction), spacing_mm, 1.0),
    ]
    assert others == pytest.approx([score] * 4, abs=1e-12, nan_ok=True)


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
