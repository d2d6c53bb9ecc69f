from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from degrade_tool import degradations
from degrade_tool.applying import apply_errors
from degrade_tool.degradations import degrade, mean_dice
from degrade_tool.drawing import Recipe, draw_errors, left_right_pairs, random_of_all_cases
from degrade_tool.fields import draw_field
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion

from contract import Case
from contract.volumes import read_image, read_labels
from coordinator.datasets.anatomy import LABELS
from coordinator.datasets.phantom import make_phantom

SPACING_MM = (1.5, 2.0, 5.0)
ORGANS = {2: "kidney_left", 5: "liver", 9: "kidney_right", 40: "spleen"}


@pytest.fixture(scope="module")
def mixture() -> Recipe:
    return Recipe(deformation_mm=2, erosion_mm=1, dilation_mm=1, missing_slices=0.05, missed_organs=0.04)


@pytest.fixture(scope="module")
def labels() -> NDArray[np.uint8]:
    """Four ellipsoids of different sizes, two of which touch; no symmetry."""
    x, y, z = np.meshgrid(np.arange(96), np.arange(70), np.arange(30), indexing="ij")
    array = np.zeros(x.shape, np.uint8)
    shapes = {
        5: (30, 30, 14, 22, 20, 10),
        2: (62, 20, 12, 10, 9, 9),
        9: (66, 48, 16, 12, 10, 11),
        40: (84, 30, 20, 8, 12, 7),
    }
    for i, (a, b, c, p, q, r) in shapes.items():
        array[((x - a) / p) ** 2 + ((y - b) / q) ** 2 + ((z - c) / r) ** 2 < 1] = i
    return array


def random_of(seed: int) -> Callable[..., np.random.Generator]:
    case = Case("c", None, None, {})  # type: ignore[arg-type]

    return lambda *purpose: case.random(seed, *purpose)


def dice(a: NDArray[np.generic], b: NDArray[np.generic], organ: int) -> float:
    return float(2 * ((a == organ) & (b == organ)).sum() / ((a == organ).sum() + (b == organ).sum()))


@pytest.mark.parametrize("target", [0.95, 0.8, 0.6, 0.4, 0.3])
def test_a_target_dice_is_met(mixture: Recipe, labels: NDArray[np.uint8], target: float):
    results = [degrade(labels, SPACING_MM, ORGANS, mixture, random_of(seed), target) for seed in range(3)]

    measured = [np.mean([dice(labels, result.labels, i) for i in ORGANS]) for result in results]
    assert np.mean(measured) == pytest.approx(target, abs=0.01)
    assert [result.dice for result in results] == pytest.approx(measured)


def test_a_target_is_met_on_phantoms(mixture: Recipe, tmp_path: Path):
    make_phantom(tmp_path / "phantom", cases=3, shape=(64, 52, 16))
    reached = []

    for file in sorted((tmp_path / "phantom" / "images").iterdir()):
        image = read_image(file)
        reference = read_labels(tmp_path / "phantom" / "labels" / file.name, image)
        result = degrade(reference, image.spacing_mm, LABELS, mixture, random_of(1), 0.75)
        reached.append(np.mean([dice(reference, result.labels, i) for i in np.unique(reference[reference > 0])]))

    assert np.mean(reached) == pytest.approx(0.75, abs=0.01)


def test_a_target_is_met_where_the_search_looks_at_some_voxels_only(
    mixture: Recipe, labels: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(degradations, "SEARCH_VOXELS", labels.size / 9)

    result = degrade(labels, SPACING_MM, ORGANS, mixture, random_of(0), 0.7)

    assert np.mean([dice(labels, result.labels, i) for i in ORGANS]) == pytest.approx(0.7, abs=0.01)


def test_an_organ_between_the_voxels_that_the_search_looks_at_is_not_overlooked(
    mixture: Recipe, monkeypatch: pytest.MonkeyPatch
):
    thin = np.zeros((60, 60, 20), np.uint8)
    thin[31, 31, 4:16] = 5
    monkeypatch.setattr(degradations, "SEARCH_VOXELS", thin.size / 16)

    result = degrade(thin, SPACING_MM, ORGANS, mixture, random_of(0), 0.5)

    assert result.dice == pytest.approx(dice(thin, result.labels, 5))
    assert 0 < result.dice < 1


def test_the_same_seed_gives_the_same_labels_and_another_seed_others(mixture: Recipe, labels: NDArray[np.uint8]):
    first, again, other = (
        degrade(labels, SPACING_MM, ORGANS, mixture, random_of(seed), 0.7).labels for seed in (3, 3, 4)
    )

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_quality_falls_with_the_scale(mixture: Recipe, labels: NDArray[np.uint8]):
    numbers = np.searchsorted([0, *ORGANS], labels).astype(np.uint8)
    errors = draw_errors(numbers, SPACING_MM, list(ORGANS.values()), mixture, random_of(0), 8.0)

    quality = [mean_dice(numbers, apply_errors(errors, scale), 4) for scale in (0, 0.25, 0.5, 1, 2, 4, 8)]

    assert quality[0] == 1
    assert all(better > worse for better, worse in pairwise(quality))


def test_a_lower_target_of_one_seed_keeps_the_errors_of_a_higher_one(mixture: Recipe, labels: NDArray[np.uint8]):
    good, poor = (degrade(labels, SPACING_MM, ORGANS, mixture, random_of(5), target) for target in (0.9, 0.7))

    wrong = good.labels != labels
    assert good.scale < poor.scale
    # A deformation may carry a voxel through a wrong place to a right one: most, not all.
    assert (poor.labels != labels)[wrong].mean() > 0.85
    unrelated = degrade(labels, SPACING_MM, ORGANS, mixture, random_of(6), 0.7)
    assert (unrelated.labels != labels)[wrong].mean() < 0.75


@pytest.mark.parametrize("kind", ["erosion_mm", "dilation_mm", "missing_slices", "missed_organs"])
def test_errors_other_than_deformation_are_nested_exactly(labels: NDArray[np.uint8], kind: str):
    strengths = (1.0, 2.5) if kind.endswith("mm") else (0.1, 0.4)

    weak, strong = (
        degrade(labels, SPACING_MM, ORGANS, Recipe(**{kind: strength}), random_of(2)).labels for strength in strengths
    )

    wrong = weak != labels
    assert wrong.any()
    assert ((strong != labels) | ~wrong).all()
    assert (strong != labels).sum() > wrong.sum()


def test_erosion_only_takes_and_dilation_only_adds_within_twice_the_mean(labels: NDArray[np.uint8]):
    eroded = degrade(labels, (2, 2, 2), ORGANS, Recipe(erosion_mm=3), random_of(0)).labels
    dilated = degrade(labels, (2, 2, 2), ORGANS, Recipe(dilation_mm=3), random_of(0)).labels

    # Twice 3 mm, and half a voxel from its centre to its surface, is 7 mm or 3.5 voxels.
    ball = np.linalg.norm(np.indices((7, 7, 7)) - 3, axis=0) <= 3.5
    liver = labels == 5
    assert np.array_equal(dilated[labels > 0], labels[labels > 0])
    assert not eroded[labels == 0].any()
    assert (binary_erosion(liver, ball, border_value=1) <= (eroded == 5)).all()
    assert ((dilated == 5) <= binary_dilation(liver, ball)).all()


def test_the_mean_boundary_shift_is_what_was_asked_for():
    slab = np.zeros((120, 120, 40), np.uint8)
    slab[:, :, :24] = 5
    recipe = Recipe(erosion_mm=6, smoothness_mm=10)

    left = [(degrade(slab, (2, 2, 1.5), ORGANS, recipe, random_of(seed)).labels == 5).sum() for seed in range(4)]

    thickness_mm = [1.5 * float(n) / (120 * 120) for n in left]
    assert np.mean(thickness_mm) == pytest.approx(36 - 6, abs=0.6)


def vary_anatomy(case: int) -> NDArray[np.uint8]:
    """Two ellipsoids whose places and sizes differ from case to case; ORGANS names them liver and spleen."""
    x, y, z = np.meshgrid(np.arange(80), np.arange(60), np.arange(24), indexing="ij")
    array = np.zeros(x.shape, np.uint8)
    array[((x - 25 - case) / (16 + case)) ** 2 + ((y - 30) / 18) ** 2 + ((z - 12) / 8) ** 2 < 1] = 5
    array[((x - 64) / 9) ** 2 + ((y - 25 - 2 * case) / (10 + case)) ** 2 + ((z - 11) / 7) ** 2 < 1] = 40
    return array


def random_of_case(seed: int, name: str) -> Callable[..., np.random.Generator]:
    case = Case(name, None, None, {})  # type: ignore[arg-type]
    return lambda *purpose: case.random(seed, *purpose)


def volume_errors(
    recipe: Recipe, random: Callable[[int], Callable[..., np.random.Generator]]
) -> dict[int, list[float]]:
    """Organ -> relative volume error in each of six cases, at Dice 0.85."""
    errors: dict[int, list[float]] = {5: [], 40: []}
    for case in range(6):
        reference = vary_anatomy(case)
        result = degrade(reference, SPACING_MM, ORGANS, recipe, random(case), 0.85)
        assert result.dice == pytest.approx(0.85, abs=0.01)
        for i, of_organ in errors.items():
            of_organ.append(float((result.labels == i).sum() / (reference == i).sum() - 1))
    return errors


def test_consistent_errors_have_one_sign_for_each_organ_and_unbiased_ones_both():
    boundary = {"erosion_mm": 2.0, "dilation_mm": 2.0}
    signs = set()

    unbiased = volume_errors(Recipe(**boundary), lambda case: random_of_case(3, f"case_{case}"))
    for seed in range(6):
        consistent = volume_errors(Recipe(**boundary, consistent=True), lambda case, s=seed: random_of_all_cases(s))
        for organ, errors in consistent.items():
            assert min(errors) > 0.02 or max(errors) < -0.02
            signs.add((organ, errors[0] > 0))

    assert signs == {(5, False), (5, True), (40, False), (40, True)}
    assert all(min(errors) < -0.02 and max(errors) > 0.02 for errors in unbiased.values())


def test_consistent_errors_cut_the_same_end_and_miss_the_same_organ_in_every_case():
    missing = Recipe(missing_slices=0.3, consistent=True)
    missed = Recipe(missed_organs=0.5, consistent=True)
    ends, organs = set(), set()

    for case in range(6):
        reference = vary_anatomy(case)
        cut = degrade(reference, SPACING_MM, ORGANS, missing, random_of_all_cases(0)).labels
        slices = np.flatnonzero((reference == 5).any(axis=(0, 1)))
        left = np.flatnonzero((cut == 5).any(axis=(0, 1)))
        assert (np.diff(left) == 1).all()
        assert len(left) == len(slices) - int(0.3 * len(slices))
        ends.add("lower" if left[0] != slices[0] else "upper")
        shown = degrade(reference, SPACING_MM, ORGANS, missed, random_of_all_cases(0)).labels
        organs.add(frozenset(np.unique(shown).tolist()))

    assert len(ends) == len(organs) == 1


def test_a_consistent_error_grows_with_a_lower_target_and_keeps_its_sign(labels: NDArray[np.uint8]):
    recipe = Recipe(erosion_mm=1, dilation_mm=1, consistent=True)

    good, poor = (degrade(labels, SPACING_MM, ORGANS, recipe, random_of_all_cases(5), t) for t in (0.9, 0.7))

    assert (good.dice, poor.dice) == (pytest.approx(0.9, abs=0.01), pytest.approx(0.7, abs=0.01))
    wrong = good.labels != labels
    assert (poor.labels[wrong] == good.labels[wrong]).all()
    assert (poor.labels != labels).sum() > wrong.sum()


def test_a_consistent_field_is_the_same_in_millimetres_around_the_middle_of_the_organs():
    coarse = draw_field(np.random.default_rng(0), (40, 40, 40), (2.0, 2.0, 2.0), 20.0, (20.0, 20.0, 20.0))
    fine = draw_field(np.random.default_rng(0), (90, 80, 100), (1.0, 1.0, 1.0), 20.0, (50.0, 30.0, 60.0))

    around = np.arange(-15, 15)

    values = coarse.values_at(*([20 + around] * 3))
    assert values.std() == pytest.approx(1, abs=0.2)
    assert np.allclose(fine.values_at(50 + 2 * around, 30 + 2 * around, 60 + 2 * around), values, atol=1e-5)


def test_deformation_moves_by_millimetres_whatever_the_spacing():
    field = draw_field(np.random.default_rng(0), (160, 120, 80), (1.0, 2.0, 3.0), 20.0)

    values = field.values_at(np.arange(160), np.arange(120), np.arange(80))

    assert values.std() == pytest.approx(1, abs=0.1)
    along = [float(np.diff(values, axis=axis).std()) for axis in range(3)]
    assert along[1] / along[0] == pytest.approx(2, rel=0.2)
    assert along[2] / along[0] == pytest.approx(3, rel=0.2)


def test_a_swap_exchanges_exactly_the_pair(labels: NDArray[np.uint8]):
    recipe = Recipe(swapped_pairs=1.0)

    result = degrade(labels, SPACING_MM, ORGANS, recipe, random_of(0)).labels

    expected = labels.copy()
    expected[labels == 2], expected[labels == 9] = 9, 2
    assert np.array_equal(result, expected)


def test_pairs_are_found_by_the_words_left_and_right():
    names = ["kidney_right", "kidney_left", "left lung", "right lung", "cleft", "cright", "femur_left", "spleen"]

    assert left_right_pairs(names) == [("kidney_left", "kidney_right"), ("left lung", "right lung")]


def test_missing_slices_are_whole_slices_of_an_organ(labels: NDArray[np.uint8]):
    recipe = Recipe(missing_slices=0.3)

    result = degrade(labels, SPACING_MM, ORGANS, recipe, random_of(0)).labels

    for i in ORGANS:
        before, after = (labels == i).sum(axis=(0, 1)), (result == i).sum(axis=(0, 1))
        assert set(after[after != before].tolist()) == {0}
        assert ((before > 0) & (after == 0)).sum() == int(0.3 * (before > 0).sum())


def test_missed_organs_go_one_after_another(labels: NDArray[np.uint8]):
    shares = []
    for missed in (0.25, 0.375, 0.5, 1.0):
        recipe = Recipe(missed_organs=missed)
        result = degrade(labels, SPACING_MM, ORGANS, recipe, random_of(0)).labels
        shares.append(sorted(float((result == i).sum() / (labels == i).sum()) for i in ORGANS))

    assert shares[0] == [0, 1, 1, 1]
    assert shares[1] == [0, pytest.approx(0.5, abs=0.02), 1, 1]
    assert shares[2] == [0, 0, 1, 1]
    assert shares[3] == [0, 0, 0, 0]


def test_shifted_slices_move_in_plane_alone(labels: NDArray[np.uint8]):
    recipe = Recipe(shifted_slices=0.5, slice_shift_mm=6)

    result = degrade(labels, SPACING_MM, ORGANS, recipe, random_of(0)).labels

    changed = (result != labels).any(axis=(0, 1))
    assert 5 < changed.sum() < 25
    assert np.array_equal((result > 0).sum(axis=(0, 1)), (labels > 0).sum(axis=(0, 1)))


def test_ids_come_from_the_input_alone_and_keep_their_type(mixture: Recipe, labels: NDArray[np.uint8]):
    wide = labels.astype(np.uint16) * 7

    result = degrade(wide, SPACING_MM, {7 * i: organ for i, organ in ORGANS.items()}, mixture, random_of(0), 0.5).labels

    assert result.dtype == np.uint16
    assert set(np.unique(result).tolist()) <= {0, 14, 35, 63, 280}


def test_a_case_without_organs_is_given_back_as_it_is(mixture: Recipe):
    empty = np.zeros((5, 6, 7), np.uint8)

    result = degrade(empty, SPACING_MM, ORGANS, mixture, random_of(0), 0.5)

    assert result.dice is None
    assert np.array_equal(result.labels, empty)


def test_a_single_slice_is_degraded_in_plane(mixture: Recipe, labels: NDArray[np.uint8]):
    slice_alone = labels[:, :, 14:15]

    result = degrade(slice_alone, SPACING_MM, ORGANS, mixture, random_of(0), 0.8)

    present = [i for i in ORGANS if (slice_alone == i).any()]
    assert result.labels.shape == slice_alone.shape
    assert np.mean([dice(slice_alone, result.labels, i) for i in present]) == pytest.approx(0.8, abs=0.01)


def test_an_organ_that_fills_the_volume_has_no_boundary_to_move():
    full = np.full((6, 7, 8), 5, np.uint8)
    recipe = Recipe(deformation_mm=4, erosion_mm=3, dilation_mm=3)

    result = degrade(full, SPACING_MM, ORGANS, recipe, random_of(0))

    assert np.array_equal(result.labels, full)
    assert result.dice == 1
