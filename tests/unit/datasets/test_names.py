"""Names of a dataset's files in its check: the makers' two folders of clutter, and their kinds."""

import unicodedata
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from contract.datasets import open_dataset
from coordinator.datasets.check import DatasetCheck, check_dataset

AFFINE = np.diag([2.0, 1.5, 3.0, 1.0])


def write(folder: Path, *files: str) -> None:
    """Write files of a dataset, such as images/a.nii.gz; each holds another volume."""
    for number, file in enumerate(files):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        array = np.full((4, 3, 2), 1, np.uint8) if file.startswith("labels") else np.full((4, 3, 2), -900 + number)
        nib.save(nib.Nifti1Image(array.astype(np.int16), AFFINE), folder / "whole.nii.gz")
        (folder / "whole.nii.gz").rename(folder / file)
    (folder / "dataset.yaml").write_text("name: toy\nlabels: {1: liver}\n")


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    folder = tmp_path / "toy"
    write(folder, "images/a.nii.gz", "labels/a.nii.gz")
    return folder


def check(folder: Path, **exclude: str) -> DatasetCheck:
    return check_dataset(open_dataset(folder.parent, "toy"), exclude)


@pytest.mark.parametrize(
    ("image", "label", "case", "error"),
    [
        ("c.nii", "c.nii", "c", "images/c.nii: a case's file must end in .nii.gz"),
        ("b.NII.GZ", "b.NII.GZ", "b", "images/b.NII.GZ: a case's file must end in .nii.gz"),
        ("d_0000.nii.gz", "d.nii.gz", "d_0000", "there is only d.nii.gz, which differs by nnU-Net's ending _0000"),
        ("e.nii.gz", "e.nii", "e", "there is only e.nii, which differs in its ending .nii"),
        ("F.nii.gz", "f.nii.gz", "F", "there is only f.nii.gz, which differs in upper and lower case"),
        (unicodedata.normalize("NFD", "é.nii.gz"), "é.nii.gz", unicodedata.normalize("NFD", "é"), "Unicode form"),
        ("g\t1.nii.gz", "g\t1.nii.gz", "g\\t1", "no control character"),
    ],
)
def test_a_case_whose_files_are_only_nearly_called_right_is_set_aside_with_why(
    image: str, label: str, case: str, error: str, toy: Path
) -> None:
    write(toy, f"images/{image}", f"labels/{label}")

    result = check(toy)

    assert result.cases == ("a",)
    assert list(result.set_aside) == [case]
    assert len(result.set_aside[case]) == 1
    assert error in result.set_aside[case][0]
    assert "labels without an image" not in " ".join(result.warnings)


def test_cases_that_differ_only_by_case_are_both_set_aside_until_one_is_excluded(toy: Path) -> None:
    write(toy, "images/A.nii.gz", "labels/A.nii.gz")

    both, one = check(toy), check(toy, A="the same patient")

    assert list(both.set_aside) == ["A", "a"]
    assert (one.set_aside, one.cases) == ({}, ("a",))


def test_clutter_is_named_in_one_line_for_each_reason_and_sets_nothing_aside(toy: Path) -> None:
    for file in ("images/.DS_Store", "images/._a.nii.gz", "images/notes.txt", "labels/._a.nii.gz"):
        (toy / file).write_bytes(b"x")

    result = check(toy)

    assert result.set_aside == {}
    assert result.warnings == (
        "images: passed over: .DS_Store, ._a.nii.gz: hidden files are no cases",
        "images: passed over: notes.txt: a case's file ends in .nii.gz",
        "labels: passed over: ._a.nii.gz: hidden files are no cases",
    )


def test_a_broken_image_is_said_beside_a_near_miss_of_its_labels(toy: Path) -> None:
    write(toy, "labels/b_0000.nii.gz")
    (toy / "images" / "b.nii.gz").write_bytes(b"")

    errors = check(toy).set_aside["b"]

    assert "there is only b_0000.nii.gz" in errors[0]
    assert "images/b.nii.gz" in errors[1]


def test_an_excluded_case_may_be_called_anything(toy: Path) -> None:
    write(toy, "images/c.nii")

    assert check(toy, c="not converted").set_aside == {}
    assert "do not exist" not in " ".join(check(toy, c="not converted").warnings)
