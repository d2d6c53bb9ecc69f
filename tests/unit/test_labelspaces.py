"""Remaps: by name, all at once, nothing dropped in silence."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import CaseError, UsageError
from coordinator.labelspaces import read_label_map, remap_labels

SOURCE = {1: "liver", 2: "kidney_left", 3: "kidney_right", 4: "heart"}
TARGET = {1: "kidney", 2: "liver", 5: "rectum"}
SOUND = "map: {kidney: [kidney_left, kidney_right], liver: [liver]}\nunavailable: {rectum: none}\ndiscard: [heart]\n"


def test_a_label_map_file_merges_discards_and_says_what_cannot_be_had(tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text(SOUND)

    space = read_label_map(tmp_path / "map.yaml", SOURCE, TARGET)

    assert space.to_target == {1: 2, 2: 1, 3: 1, 4: 0}
    assert space.unavailable == {"rectum": "none"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("discard: [heart]", ""), "heart: organ of the generator is neither mapped nor discarded"),
        (("unavailable: {rectum: none}", ""), "rectum: organ of the dataset is neither mapped nor unavailable"),
        (("liver: [liver]", "liver: [lifer]"), "lifer: the generator has no such organ; did you mean `liver`?"),
        (("kidney: [", "kydney: ["), "kydney: the dataset has no such organ; did you mean `kidney`?"),
        (("liver: [liver]", "liver: [liver, kidney_left]"), "kidney_left: a source must go to one target"),
        (("{rectum: none}", "{rectum: none, liver: x}"), "liver: is both mapped and unavailable"),
    ],
)
def test_an_unsound_label_map_file_is_refused(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text(SOUND.replace(*change))

    with pytest.raises(UsageError) as caught:
        read_label_map(tmp_path / "map.yaml", SOURCE, TARGET)

    assert message in str(caught.value)


def test_swaps_do_not_chain() -> None:
    labels = np.array([[[0, 1, 2, 2]]], np.uint8)

    assert remap_labels(labels, {1: 2, 2: 1}).tolist() == [[[0, 2, 1, 1]]]


def test_an_id_that_is_not_named_fails() -> None:
    with pytest.raises(CaseError, match=r"these are not: \[3, 9\]"):
        remap_labels(np.array([[[0, 1, 3, 9]]], np.uint16), {1: 1, 2: 2})


def test_target_ids_above_255_are_kept() -> None:
    result = remap_labels(np.array([[[1]]], np.uint8), {1: 300})

    assert result.dtype == np.uint16
    assert result.tolist() == [[[300]]]


@given(
    labels=st.lists(st.integers(0, 6), min_size=1, max_size=40),
    targets=st.lists(st.integers(0, 400), min_size=6, max_size=6),
)
def test_every_voxel_gets_its_ids_target(labels: list[int], targets: list[int]) -> None:
    to_target = {source + 1: target for source, target in enumerate(targets)}

    result = remap_labels(np.array(labels, np.uint8).reshape(1, 1, -1), to_target)

    assert result.ravel().tolist() == [{0: 0, **to_target}[label] for label in labels]
