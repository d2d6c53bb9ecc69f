import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from medsam_tool.pictures import body_rectangle, from_picture, to_picture


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
