"""Dice, surface Dice and distances of random masks and label maps, against a slow reference and DeepMind's algorithm."""

import math
from itertools import product

import numpy as np
import pytest
from helpers.surface_oracle import Mask, Spacing, oracle_dice, oracle_distances, oracle_surface_dice
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy
from numpy.typing import NDArray

from coordinator.scoring.metrics import score_case, surface_dice
from coordinator.scoring.settings import Scoring
from coordinator.scoring.surface_area_table import surface_areas


def slow_surface_dice(reference: Mask, prediction: Mask, spacing_mm: Spacing, tolerance_mm: float) -> float:
    """The definition as loops: each cell's code, each pair's distance."""
    areas = surface_areas(spacing_mm)
    surfaces = [_slow_elements(np.pad(mask, 1)) for mask in (reference, prediction)]
    within = everything = 0.0
    for sources, targets in (surfaces, surfaces[::-1]):
        for cell, code in sources.items():
            near = any(math.hypot(*(np.subtract(cell, target) * spacing_mm)) <= tolerance_mm for target in targets)
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


NUMBERS = {3: "a", 4: "b", 7: "c", 300: "d", 9: "e"}
VOLUME = hypothesis_numpy.arrays(
    np.uint16, st.tuples(*[st.integers(1, 7)] * 3), elements=st.sampled_from([0, 0, 0, 3, 4, 7, 300, 9])
)


TOLERANCES = (0.0, 0.8, 1.0, 1.6, 2.4, 2.5, 5.0)


@st.composite
def volume_pairs(draw: st.DrawFn) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """A random multi-label volume and another one, or the same one changed in places or shifted."""
    reference = draw(VOLUME)
    if draw(st.booleans()):
        return reference, np.roll(reference, draw(st.integers(0, 2)), axis=draw(st.integers(0, 2)))
    return reference, draw(hypothesis_numpy.arrays(np.uint16, reference.shape, elements=st.sampled_from([0, 0, 3, 7])))


@settings(max_examples=400, deadline=None)
@given(volume_pairs(), SPACING, st.booleans())
def test_any_two_label_maps_score_as_deepminds_algorithm(
    pair: tuple[NDArray[np.uint16], NDArray[np.uint16]], spacing_mm: Spacing, of_nifti: bool
):
    maps = [np.asfortranarray(label_map) for label_map in pair] if of_nifti else pair

    scores = score_case(*maps, spacing_mm, NUMBERS, Scoring(1.0, also_mm=TOLERANCES, distances=True))

    for score in scores:
        masks = pair[0] == score.label, pair[1] == score.label
        expected = oracle_surface_dice(*masks, spacing_mm, (1.0, *TOLERANCES))
        assert [score.surface_dice, *score.surface_dice_also] == pytest.approx(expected, abs=1e-9, nan_ok=True)
        assert score.dice == pytest.approx(oracle_dice(*masks), abs=1e-9, nan_ok=True)
        distances = [score.distances.hd95_mm, score.distances.assd_mm]
        assert distances == pytest.approx(oracle_distances(*masks, spacing_mm), abs=1e-9, nan_ok=True)
