import numpy as np
from nninteractive_tool.volume import LabelMerger


def test_the_smaller_mask_wins_and_the_lower_label_where_two_are_equal():
    merger = LabelMerger(np.zeros((1, 1, 6), dtype=np.uint8))

    merger.add(2, np.array([[[1, 1, 1, 1, 0, 0]]], dtype=bool))
    merger.add(5, np.array([[[0, 0, 0, 1, 1, 0]]], dtype=bool))
    merger.add(7, np.array([[[0, 0, 0, 0, 1, 1]]], dtype=bool))
    merger.add(9, np.array([[[1, 1, 1, 1, 1, 1]]], dtype=bool))

    assert merger.labels.tolist() == [[[2, 2, 2, 5, 5, 7]]]


def test_labels_above_255_are_kept():
    merger = LabelMerger(np.zeros((1, 1, 2), dtype=np.uint16))

    merger.add(300, np.array([[[False, True]]]))

    assert merger.labels.tolist() == [[[0, 300]]]
