"""The same scan twice, and the labels of another scan, as the audit tells them."""

import gzip
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.auditfiles import FIELDS, draw, make_dataset, write_case

from contract.datasets import Dataset
from coordinator.datasets.audit.checks import judge_checks
from coordinator.datasets.audit.duplicates import judge_duplicates
from coordinator.datasets.audit.findings import Finding, Weight
from coordinator.datasets.check import check_dataset


@pytest.fixture(params=sorted(FIELDS))
def field(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def dataset(field: str, tmp_path: Path) -> Dataset:
    return make_dataset(tmp_path / "audited", field, "abc")


def judge(dataset: Dataset, *others: Dataset) -> list[Finding]:
    return judge_duplicates(check_dataset(dataset), [check_dataset(other) for other in others])


def test_different_scans_have_no_finding(dataset: Dataset) -> None:
    assert judge(dataset) == []


def test_a_scan_that_is_there_twice_names_the_other(dataset: Dataset) -> None:
    for path in (dataset.image, dataset.label):
        shutil.copy(path("a"), path("d"))

    (finding,) = judge(dataset)

    assert (finding.kind, finding.weight, finding.case) == ("same-scan", Weight.SUSPECT, "d")
    assert "the same scan is a too" in finding.text


def test_the_same_scan_with_an_organ_less_is_wrong(dataset: Dataset, field: str) -> None:
    case = draw(field, "a")
    case.labels[case.labels == 4] = 0
    write_case(dataset, "d", case)

    (finding,) = judge(dataset)

    assert (finding.kind, finding.weight, finding.case) == ("same-scan-other-labels", Weight.WRONG, "d")
    assert "liver is labelled in only one" in finding.text


def test_a_cropped_copy_with_an_offset_is_the_same_scan(dataset: Dataset, field: str) -> None:
    case = draw(field, "a")
    case.image, case.labels = case.image[:, :, 2:-2] + np.int16(1024), case.labels[:, :, 2:-2]
    write_case(dataset, "d", case)

    (finding,) = judge(dataset)

    assert (finding.kind, finding.case) == ("same-scan-other-labels", "d")
    assert finding.weight == Weight.SUSPECT or finding.number == 0


def test_labels_that_differ_only_in_their_file_are_said_to_differ_as_files(dataset: Dataset) -> None:
    shutil.copy(dataset.image("a"), dataset.image("d"))
    dataset.label("d").write_bytes(gzip.compress(gzip.decompress(dataset.label("a").read_bytes()), 1, mtime=3))

    (finding,) = judge(dataset)

    assert (finding.kind, finding.weight) == ("same-scan-other-labels", Weight.SUSPECT)
    assert "the files of their labels differ" in finding.text


def test_labels_that_were_copied_to_another_scan_are_wrong_in_both(dataset: Dataset, field: str) -> None:
    for name in "bc":  # one grid, so that the labels of one fit the other
        write_case(dataset, name, replace(draw(field, name), affine=draw(field, "a").affine))
    shutil.copy(dataset.label("b"), dataset.label("c"))

    found = judge(dataset)

    assert [(f.kind, f.case, f.weight) for f in found] == [
        ("labels-of-another-scan", "b", Weight.WRONG),
        ("labels-of-another-scan", "c", Weight.WRONG),
    ]
    assert "those of c" in found[0].text
    assert "those of b" in found[1].text


def test_empty_label_maps_are_alike_by_right(dataset: Dataset, field: str) -> None:
    for name in "bc":
        case = replace(draw(field, name), affine=draw(field, "a").affine)
        write_case(dataset, name, replace(case, labels=np.zeros_like(case.labels)))

    assert judge(dataset) == []


def test_a_scan_of_another_dataset_is_named_with_it(dataset: Dataset, field: str, tmp_path: Path) -> None:
    other = make_dataset(tmp_path / "other", field, "cde")

    (finding,) = judge(dataset, other)

    assert (finding.kind, finding.case) == ("scan-in-other-dataset", "c")
    assert "the same scan is c of other" in finding.text


def test_the_checks_own_warning_of_twins_is_left_to_the_pairs(dataset: Dataset) -> None:
    for path in (dataset.image, dataset.label):
        shutil.copy(path("a"), path("d"))

    assert judge_checks(check_dataset(dataset)) == []
