"""What label versions agree on: the others' consensus, without the version itself."""

from math import isnan
from pathlib import Path

import numpy as np
import pytest
from helpers.niftibytes import nifti_bytes, save_gz

from contract.errors import CaseError
from coordinator.scoring.agreement import compare_with_others, find_agreement

ALL = {1, 2}


def row(*ids: int) -> np.ndarray:
    return np.array(ids, np.uint8).reshape(1, 1, -1)


def test_each_version_is_compared_with_what_more_than_half_of_the_others_mark():
    maps = {"a": row(1, 1, 1, 0), "b": row(1, 1, 0, 0), "c": row(1, 0, 0, 1)}

    found = {version: dice for label, version, dice in find_agreement(maps, dict.fromkeys(maps, ALL), {1})}

    # Of two others, both must mark a voxel: b and c agree on the first alone, a and c too, a and b on the first two.
    assert found == {"a": pytest.approx(2 / 4), "b": pytest.approx(2 / 3), "c": pytest.approx(2 / 4)}


def test_a_version_does_not_vote_for_itself():
    maps = {"a": row(1, 1), "b": row(0, 0), "c": row(0, 0)}

    found = {version: dice for _, version, dice in find_agreement(maps, dict.fromkeys(maps, ALL), {1})}

    assert found["a"] == 0
    assert isnan(found["b"])  # it has no voxel, and one vote of two is not more than half


def test_versions_that_cannot_have_an_organ_neither_vote_nor_are_judged():
    maps = {"a": row(2, 2), "b": row(2, 2), "c": row(2, 0), "d": row(0, 0)}

    found = {v: dice for _, v, dice in find_agreement(maps, {"a": ALL, "b": ALL, "c": ALL, "d": {1}}, {2})}
    too_few = list(find_agreement(maps, {"a": ALL, "b": ALL, "c": {1}, "d": {1}}, {2}))

    assert found == {"a": pytest.approx(2 / 3), "b": pytest.approx(2 / 3), "c": pytest.approx(2 / 3)}
    assert too_few == []


@pytest.mark.parametrize("workers", [1, 2])
def test_folders_are_compared_case_by_case_and_a_case_of_two_versions_is_left_out(tmp_path: Path, workers: int):
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[:2] = 1
    folders = {name: tmp_path / name for name in "abc"}
    for folder in folders.values():
        save_gz(folder / "both.nii.gz", nifti_bytes(labels))
    for name in "ab":
        save_gz(folders[name] / "few.nii.gz", nifti_bytes(labels))

    frame = compare_with_others(
        folders, dict.fromkeys(folders, ALL), {1: "liver", 2: "spleen"}, ["both", "few"], workers
    )

    assert frame.filter(frame["label"] == 1).rows() == [("both", 1, "liver", name, 1.0) for name in "abc"]
    assert frame.filter(frame["label"] == 2)["others_dice"].is_nan().all()


def test_a_label_map_that_cannot_be_read_is_named(tmp_path: Path):
    folders = {name: tmp_path / name for name in "abc"}
    for folder in folders.values():
        folder.mkdir()
        (folder / "x.nii.gz").write_bytes(b"no gzip")

    with pytest.raises(CaseError, match=r"a/x\.nii\.gz"):
        compare_with_others(folders, dict.fromkeys(folders, ALL), {1: "liver"}, ["x"])
