import numpy as np
import pytest
from nninteractive_tool.prompts import Prompt, PromptRule, make_prompts
from numpy.typing import NDArray

BOX = PromptRule("box", margin=0, min_volume=1)
POINT = PromptRule("point", margin=0, min_volume=1)


def organ() -> NDArray[np.bool_]:
    """(5, 9, 8): a part that is largest in its second slice, and one of two voxels that touches it nowhere."""
    mask = np.zeros((5, 9, 8), dtype=bool)
    mask[1, 3:5, 2:4] = True
    mask[2, 2:7, 1:4] = True
    mask[3, 2:4, 1:4] = True
    mask[4, 8, 6:8] = True
    return mask


def test_a_box_is_drawn_around_the_largest_slice_of_each_part():
    assert list(make_prompts(organ(), BOX)) == [Prompt((2, 2, 1), (2, 6, 3)), Prompt((4, 8, 6), (4, 8, 7))]


def test_a_box_is_one_slice_half_open_for_nninteractive():
    (first, _) = make_prompts(organ(), BOX)

    assert first.half_open == [[2, 3], [2, 7], [1, 4]]


def test_the_margin_enlarges_a_box_in_its_slice_and_ends_at_the_image():
    boxes = list(make_prompts(organ(), PromptRule("box", margin=2, min_volume=1)))

    assert boxes == [Prompt((2, 0, 0), (2, 8, 5)), Prompt((4, 6, 4), (4, 8, 7))]


def test_a_point_lies_where_the_slice_is_deepest():
    assert next(make_prompts(organ(), POINT)) == Prompt((2, 3, 2), (2, 3, 2))  # the first one in the middle column


def test_the_lowest_of_equal_slices_is_taken():
    mask = np.zeros((4, 3, 3), dtype=bool)
    mask[1:3, 1, 1] = True

    assert list(make_prompts(mask, BOX)) == [Prompt((1, 1, 1), (1, 1, 1))]


@pytest.mark.parametrize(("min_volume", "parts"), [(2, 2), (3, 1), (25, 1), (26, 0)])
def test_parts_below_the_minimal_volume_get_no_prompt(min_volume: int, parts: int):
    # 4 + 15 + 6 = 25 voxels, and 2
    assert len(list(make_prompts(organ(), PromptRule("box", margin=0, min_volume=min_volume)))) == parts
