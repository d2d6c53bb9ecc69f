"""Looking at a dataset before anything runs."""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from contract.datasets import Dataset, open_dataset
from coordinator.datasets.check import DatasetCheck, check_dataset

AFFINE = np.array([[1.5, 0.3, 0, -9], [-0.3, 1.4, 0.1, 5], [0, -0.1, 2.5, 40], [0, 0, 0, 1]], np.float64)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    folder = tmp_path / "data" / "toy"
    random = np.random.default_rng(2)
    for case in "abcd":
        for kind, array in (
            ("images", random.integers(-1000, 1000, (6, 5, 4), np.int16)),
            ("labels", random.integers(0, 3, (6, 5, 4), np.uint8)),
        ):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array, AFFINE), folder / kind / f"{case}.nii.gz")
    (folder / "dataset.yaml").write_text("name: toy\nlabels: {1: liver, 2: spleen}\n")
    return open_dataset(folder.parent, "toy")


def test_a_sound_dataset_has_nothing_to_say(dataset: Dataset) -> None:
    found = check_dataset(dataset)

    assert found.cases == ("a", "b", "c", "d")
    assert found.set_aside == {}
    assert found.summary()["warnings"] == []


def test_every_bad_case_is_found_at_once_and_set_aside(dataset: Dataset) -> None:
    dataset.image("a").write_bytes(dataset.image("a").read_bytes()[:60])
    dataset.label("b").unlink()
    nib.save(nib.Nifti1Image(np.full((6, 5, 4), 9, np.uint8), AFFINE), dataset.label("c"))

    found = check_dataset(dataset)

    assert found.cases == ("d",)
    assert "truncated" in found.set_aside["a"][0]
    assert "labels/b.nii.gz: file must be readable, but: No such file" in found.set_aside["b"][0]
    assert "9 (120 voxels)" in found.set_aside["c"][0]


def test_excluded_cases_are_not_even_read(dataset: Dataset) -> None:
    dataset.image("a").write_bytes(b"")

    found = check_dataset(dataset, {"a": "known to be broken"})

    assert found.cases == ("b", "c", "d")
    assert found.excluded == {"a": "known to be broken"}
    assert found.set_aside == {}


def test_what_is_odd_about_the_whole_is_said(dataset: Dataset) -> None:
    shutil.copy(dataset.image("a"), dataset.image("b"))
    shutil.copy(dataset.label("a"), dataset.folder / "labels" / "orphan.nii.gz")
    for case in "abcd":
        nib.save(nib.Nifti1Image(np.ones((6, 5, 4), np.uint8), AFFINE), dataset.label(case))

    warnings = " ".join(check_dataset(dataset, {"x": "gone"}).warnings)

    assert "cases with the same image: a, b" in warnings
    assert "labels without an image: orphan" in warnings
    assert "organs that occur in no case: spleen" in warnings
    assert "excluded cases that do not exist: x" in warnings


def test_a_second_check_reads_only_what_changed(dataset: Dataset, tmp_path: Path) -> None:
    progress: list[tuple[int, int]] = []

    def check() -> DatasetCheck:
        progress.clear()
        return check_dataset(
            dataset, cache=tmp_path / "cache.json", show_progress=lambda done, total: progress.append((done, total))
        )

    first = check()
    second = check()
    assert second == first
    assert progress == [(4, 4)]

    dataset.image("a").write_bytes(b"")
    assert "zero bytes" in check().set_aside["a"][0]
    assert progress == [(3, 4), (4, 4)]


def test_many_cases_are_read_by_several_processes_with_the_same_result(dataset: Dataset) -> None:
    for i in range(9):
        shutil.copy(dataset.image("a"), dataset.image(f"e{i}"))
        shutil.copy(dataset.label("a"), dataset.label(f"e{i}"))
    dataset.image("e3").write_bytes(b"")

    found = check_dataset(dataset)

    assert len(found.cases) == 12
    assert list(found.set_aside) == ["e3"]


def test_nothing_is_written_into_the_dataset(dataset: Dataset) -> None:
    before = {path: path.stat().st_mtime_ns for path in dataset.folder.rglob("*")}

    check_dataset(dataset)

    assert {path: path.stat().st_mtime_ns for path in dataset.folder.rglob("*")} == before
