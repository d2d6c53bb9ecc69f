import numpy as np
from medsam_tool.parts import remove_small_parts
from numpy.typing import NDArray


def parts_of_two_labels() -> NDArray[np.uint8]:
    """(6, 5, 4): label 1 has a part of four voxels that touch at corners alone, and one of two; label 300 has three."""
    labels = np.zeros((6, 5, 4), dtype=np.uint16)
    for i in range(4):
        labels[i, i, i] = 1
    labels[5, 0:2, 0] = 1
    labels[5, 2, 0:3] = 300  # beside it
    return labels


def test_parts_below_the_minimal_volume_become_background():
    labels = parts_of_two_labels()

    three = remove_small_parts(labels, 3)
    four = remove_small_parts(labels, 4)
    five = remove_small_parts(labels, 5)

    assert np.argwhere(three == 1).tolist() == [[0, 0, 0], [1, 1, 1], [2, 2, 2], [3, 3, 3]]
    assert np.argwhere(three == 300).tolist() == [[5, 2, 0], [5, 2, 1], [5, 2, 2]]
    assert np.argwhere(four).tolist() == [[0, 0, 0], [1, 1, 1], [2, 2, 2], [3, 3, 3]]
    assert not five.any()


def test_the_given_labels_stay_as_they_are():
    labels = parts_of_two_labels()

    remove_small_parts(labels, 1000)

    np.testing.assert_array_equal(labels, parts_of_two_labels())


def test_a_volume_of_one_keeps_everything():
    np.testing.assert_array_equal(remove_small_parts(parts_of_two_labels(), 1), parts_of_two_labels())
