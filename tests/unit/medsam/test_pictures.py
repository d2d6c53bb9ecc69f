import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from medsam_tool.overlap import merge_masks
from medsam_tool.pictures import body_rectangle, from_picture, to_picture
from medsam_tool.windowing import apply_window
from numpy.typing import NDArray


@pytest.mark.parametrize(
    ("hu", "grey"), [(-1000, 0), (-160, 0), (-60, 63), (40, 127), (239, 254), (240, 255), (3071, 255)]
)
def test_the_abdominal_window_is_the_one_of_medsam(hu: int, grey: int):
    # 63 = floor(100 / 400 * 255), 127 = floor(200 / 400 * 255)
    assert apply_window(np.array([hu], dtype=np.int16), 40, 400) == grey


def test_another_window_follows_level_and_width():
    lung = apply_window(np.array([-1350.0, -600.0, 150.0]), level_hu=-600, width_hu=1500)

    assert lung.tolist() == [0, 127, 255]
    assert lung.dtype == np.uint8


def test_a_picture_has_the_front_on_top_and_the_patients_right_at_the_left():
    plane = np.zeros((5, 4), dtype=np.uint8)
    plane[4, 3] = 1  # RAS+: furthest to the right, furthest to the front
    plane[4, 0] = 2  # right, back
    plane[0, 3] = 3  # left, front

    picture = to_picture(plane)

    assert picture.shape == (4, 5)
    assert (picture[0, 0], picture[-1, 0], picture[0, -1]) == (1, 2, 3)


@given(st.integers(1, 7), st.integers(1, 7))
def test_a_picture_goes_back_to_its_slice(x: int, y: int):
    plane = np.arange(x * y).reshape(x, y)

    np.testing.assert_array_equal(from_picture(to_picture(plane)), plane)


def test_the_body_is_the_largest_part_and_the_table_is_not_shown():
    hu = np.full((40, 30), -1000)
    hu[8:30, 10:25] = 30
    hu[:, 3] = 200  # a thin shell
    nothing = np.zeros(hu.shape, dtype=np.uint8)

    assert body_rectangle(hu, nothing) == (slice(8, 30), slice(10, 25))


def test_labels_outside_the_body_are_shown():
    hu = np.full((40, 30), -1000)
    hu[8:30, 10:25] = 30
    labels = np.zeros(hu.shape, dtype=np.uint8)
    labels[35, 29] = 4

    assert body_rectangle(hu, labels) == (slice(8, 36), slice(10, 30))


@pytest.mark.parametrize("hu", [-1000, 50])
def test_a_slice_of_air_or_of_nothing_but_body_is_shown_whole(hu: int):
    labels = np.zeros((12, 9), dtype=np.uint8)

    assert body_rectangle(np.full((12, 9), hu), labels) == (slice(0, 12), slice(0, 9))


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
