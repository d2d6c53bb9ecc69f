import numpy as np
from nnunet_tool.labelids import LabelIds


def test_label_ids_with_gaps_become_consecutive_and_come_back():
    ids = LabelIds((3, 7, 300))
    labels = np.array([[[0, 3], [7, 300]]], np.uint16)

    assert ids.to_nnunet(labels).tolist() == [[[0, 1], [2, 3]]]
    assert ids.to_dataset(ids.to_nnunet(labels)).tolist() == labels.tolist()
    assert ids.to_dataset(ids.to_nnunet(labels)).dtype == np.uint16
    assert LabelIds((3, 7)).to_dataset(np.array([0, 1, 2])).dtype == np.uint8


def test_an_organ_of_a_name_that_nnunet_reserves_is_an_organ_like_others():
    table = LabelIds((3, 7)).table({3: "ignore", 7: "spleen"})

    assert table == {"background": 0, "3 ignore": 1, "7 spleen": 2}
