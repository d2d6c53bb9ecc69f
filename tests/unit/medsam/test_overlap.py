import numpy as np
from medsam_tool.overlap import merge_masks
from numpy.typing import NDArray


def masks(*probabilities: float) -> NDArray[np.float32]:
    return np.array(probabilities, dtype=np.float32).reshape(-1, 1, 1)


def test_the_highest_probability_wins():
    assert merge_masks(masks(0.6, 0.9, 0.8), [1, 2, 3]) == 2


def test_ties_go_to_the_lower_label_id_whatever_the_order_of_boxes():
    assert merge_masks(masks(0.8, 0.8), [7, 4]) == 4
    assert merge_masks(masks(0.8, 0.8), [4, 7]) == 4


def test_a_probability_of_one_half_is_background():
    assert merge_masks(masks(0.5, 0.4), [1, 2]) == 0


def test_the_boxes_of_a_label_are_joined_by_their_maximum():
    assert merge_masks(masks(0.2, 0.6, 0.9), [1, 2, 1]) == 1


def test_labels_above_255_are_kept():
    assert merge_masks(masks(0.9), [300]) == 300
