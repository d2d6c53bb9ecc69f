"""Checking a dataset before anything runs."""

import json
import os
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from contract.datasets import Dataset, open_dataset
from contract.stamps import mark_file
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


def test_a_sound_dataset_has_no_warnings(dataset: Dataset) -> None:
    result = check_dataset(dataset)

    assert result.cases == ("a", "b", "c", "d")
    assert result.set_aside == {}
    assert result.summary()["warnings"] == []


def test_every_bad_case_is_found_at_once_and_set_aside(dataset: Dataset) -> None:
    dataset.image("a").write_bytes(dataset.image("a").read_bytes()[:60])
    dataset.label("b").unlink()
    nib.save(nib.Nifti1Image(np.full((6, 5, 4), 9, np.uint8), AFFINE), dataset.label("c"))

    result = check_dataset(dataset)

    assert result.cases == ("d",)
    assert "truncated" in result.set_aside["a"][0]
    assert "labels/b.nii.gz: file must be readable, but: No such file" in result.set_aside["b"][0]
    assert "9 (120 voxels)" in result.set_aside["c"][0]


def test_excluded_cases_are_not_even_read(dataset: Dataset) -> None:
    dataset.image("a").write_bytes(b"")

    result = check_dataset(dataset, {"a": "known to be broken"})

    assert result.cases == ("b", "c", "d")
    assert result.excluded == {"a": "known to be broken"}
    assert result.set_aside == {}


def test_warnings_describe_the_dataset_as_a_whole(dataset: Dataset) -> None:
    shutil.copy(dataset.image("a"), dataset.image("b"))
    shutil.copy(dataset.label("a"), dataset.folder / "labels" / "orphan.nii.gz")
    for case in "abcd":
        nib.save(nib.Nifti1Image(np.ones((6, 5, 4), np.uint8), AFFINE), dataset.label(case))

    warnings = " ".join(check_dataset(dataset, {"x": "gone"}).warnings)

    assert "cases with the same scan: a, b" in warnings
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


def test_a_case_that_failed_for_want_of_memory_is_read_again(dataset: Dataset, tmp_path: Path) -> None:
    cache = tmp_path / "cache.json"
    first = check_dataset(dataset, cache=cache)
    content = json.loads(cache.read_text())
    content["a"][1]["errors"] = ["a.nii.gz: volume must fit into memory, but does not"]
    cache.write_text(json.dumps(content))

    assert check_dataset(dataset, cache=cache) == first


def test_a_pipe_in_the_place_of_a_file_that_was_sound_is_an_error_and_nobody_waits_for_it(
    dataset: Dataset, tmp_path: Path
) -> None:
    check_dataset(dataset, cache=tmp_path / "cache.json")
    dataset.image("a").unlink()
    os.mkfifo(dataset.image("a"))

    check = check_dataset(dataset, cache=tmp_path / "cache.json")

    assert "it is a named pipe" in check.set_aside["a"][0]
    assert mark_file(dataset.image("a")) == [None, None]


def test_many_cases_are_read_by_several_processes_with_the_same_result(dataset: Dataset) -> None:
    for i in range(9):
        shutil.copy(dataset.image("a"), dataset.image(f"e{i}"))
        shutil.copy(dataset.label("a"), dataset.label(f"e{i}"))
    dataset.image("e3").write_bytes(b"")

    result = check_dataset(dataset)

    assert len(result.cases) == 12
    assert list(result.set_aside) == ["e3"]


def test_nothing_is_written_into_the_dataset(dataset: Dataset) -> None:
    before = {path: path.stat().st_mtime_ns for path in dataset.folder.rglob("*")}

    check_dataset(dataset)

    assert {path: path.stat().st_mtime_ns for path in dataset.folder.rglob("*")} == before
