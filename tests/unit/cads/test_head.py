"""Structures of head and neck lie around a brain, or above the lowest vertebra of the neck."""

import numpy as np
from cads_tool.head import EVERYWHERE, UPPER_VERTEBRAE, find_region
from cads_tool.parts import BRAIN, HEAD, NECK, VERTEBRAE

IDS = {"brain": 50, **{name: 31 + i for i, name in enumerate(UPPER_VERTEBRAE)}}
SHAPE = (150, 230, 260)


def found(brain: int = 0, vertebra: int | None = None) -> dict[int, np.ndarray]:
    """Label maps with so many voxels of brain in a row, and a vertebra at height 40."""
    maps = {number: np.zeros(SHAPE, np.uint8) for number in (VERTEBRAE, BRAIN)}
    maps[BRAIN][60:70, 100:110, 210:][..., : brain // 100] = 50
    if vertebra is not None:
        maps[VERTEBRAE][70:75, 80:85, 40:45] = vertebra
    return maps


def test_other_networks_may_find_something_everywhere():
    assert find_region(551, {}, IDS) == EVERYWHERE


def test_structures_of_the_head_lie_in_a_box_around_the_brain():
    # The brain's centre is (64.5, 104.5, 219.5); decimals are dropped.
    assert find_region(HEAD, found(brain=2000), IDS) == (slice(0, 150), slice(4, 204), slice(86, 260))
    assert find_region(NECK, found(brain=2000), IDS) == (slice(0, 150), slice(4, 204), slice(19, 260))


def test_too_little_brain_is_none():
    assert find_region(HEAD, found(brain=1900), IDS) is None
    assert find_region(NECK, found(brain=1900), IDS) is None


def test_without_a_brain_the_neck_goes_from_its_lowest_vertebra_to_the_top():
    expected = (slice(None), slice(None), slice(40, None))

    assert find_region(NECK, found(vertebra=IDS["vertebrae_T4"]), IDS) == expected
    assert find_region(NECK, found(vertebra=IDS["vertebrae_C1"]), IDS) == expected
    assert find_region(HEAD, found(vertebra=IDS["vertebrae_C1"]), IDS) is None


def test_lower_vertebrae_are_no_neck():
    assert find_region(NECK, found(vertebra=30), IDS) is None  # T5
