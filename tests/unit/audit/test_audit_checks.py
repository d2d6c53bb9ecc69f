"""Errors and warnings of a dataset's check as findings: each has a kind, a text and what to do."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.auditfiles import PLANTED, draw, make_dataset, make_folder, save, write_case
from helpers.damages import DAMAGES
from helpers.filedefects import DEFECTS

from contract import casefiles, gzipfiles
from contract.datasets import Dataset
from contract.errors import CaseError
from coordinator.datasets.audit.checks import MEASURED, judge_checks
from coordinator.datasets.audit.findings import Finding, Weight
from coordinator.datasets.check import CaseCheck, DatasetCheck, check_dataset


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_dataset(tmp_path / "toy", "narrow", "ab")


def of_errors(*errors: str, labels: dict[int, str] | None = None) -> DatasetCheck:
    """The check of a dataset whose case `a` has these errors."""
    return DatasetCheck("toy", labels or {}, (), {"a": CaseCheck(errors, ())}, {}, ())


def judge(dataset: Dataset) -> list[Finding]:
    return judge_checks(check_dataset(dataset))


def test_too_little_memory_has_its_kind(dataset: Dataset) -> None:
    with pytest.raises(CaseError) as raised, casefiles.reading(dataset.image("a")):
        raise MemoryError("9 GB are needed")

    (finding,) = judge_checks(of_errors(str(raised.value)))

    assert (finding.kind, finding.text[:6]) == ("too-large-for-memory", "image:")


@pytest.mark.parametrize(
    ("source", "target", "cases"),
    [("labels/a", "labels/A", "a"), ("labels/a", "labels/a_0000", "a"), ("images/a", "images/B", "bB")],
)
def test_names_that_nearly_fit_are_bad_names(source: str, target: str, cases: str, dataset: Dataset) -> None:
    (dataset.folder / f"{source}.nii.gz").rename(dataset.folder / f"{target}.nii.gz")

    found = {(finding.kind, finding.case) for finding in judge(dataset)}

    assert {("bad-name", case) for case in cases} <= found
    assert "unreadable-image" not in {kind for kind, _ in found}


def test_a_name_with_a_line_break_is_a_bad_name(dataset: Dataset) -> None:
    dataset.image("a").rename(dataset.folder / "images" / "a\nb.nii.gz")

    assert "bad-name" in {finding.kind for finding in judge(dataset) if finding.weight == Weight.UNUSABLE}


def test_many_bytes_behind_the_voxels_are_corrupt(dataset: Dataset) -> None:
    content = nib.load(dataset.image("a")).to_bytes()
    dataset.image("a").write_bytes(gzipfiles.compress(content + bytes(gzipfiles.SLACK + 1)))

    assert [(finding.kind, finding.case) for finding in judge(dataset)] == [("corrupt-file", "a")]


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        ("garbage", "not-gzip"),
        ("zeros", "not-gzip"),
        ("empty", "empty-file"),
        ("cut", "truncated-file"),
        ("a folder", "unreadable-image"),
        ("a pipe", "unreadable-image"),
        ("a dangling link", "no-image"),
    ],
)
def test_a_damaged_image_has_its_kind(damage: str, kind: str, dataset: Dataset) -> None:
    DAMAGES[damage](dataset.image("a"))

    (finding,) = [finding for finding in judge(dataset) if finding.case]

    assert (finding.kind, finding.weight, finding.case) == (kind, Weight.UNUSABLE, "a")
    assert str(dataset.folder) not in finding.text
    assert finding.text.startswith("image: ")


def write_header(path: Path, change: Callable[[nib.Nifti1Header], None]) -> None:
    """Write a file with another header before the same voxels."""
    content = bytearray(nib.load(path).to_bytes())
    header = nib.Nifti1Header(bytes(content[:348]), check=False)
    change(header)
    content[:348] = header.binaryblock
    path.write_bytes(gzipfiles.compress(bytes(content)))


def put(**fields: object) -> Callable[[nib.Nifti1Header], None]:
    def change(header: nib.Nifti1Header) -> None:
        for name, value in fields.items():
            header[name] = value

    return change


def put_dim(index: int, value: int) -> Callable[[nib.Nifti1Header], None]:
    def change(header: nib.Nifti1Header) -> None:
        header["dim"][index] = value

    return change


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (put(magic=b"ni1"), "header-of-a-pair"),
        (put(magic=b"abc"), "not-nifti"),
        (put(datatype=4321), "corrupt-header"),
        (put(vox_offset=7), "corrupt-header"),
        (put(scl_slope=1, scl_inter=np.inf), "corrupt-header"),
        (put_dim(0, 9), "corrupt-header"),
        (put_dim(2, 0), "corrupt-header"),
        (put_dim(3, 1900), "truncated-file"),
        (put(srow_x=[0, 0, 0, 5], qform_code=0), "impossible-geometry"),
        (put(srow_x=[300, 0, 0, 5], qform_code=0), "impossible-geometry"),
        (put(srow_x=[np.nan, 0, 0, 5], qform_code=0), "impossible-geometry"),
        (put(sform_code=0, quatern_b=9), "impossible-geometry"),
    ],
)
def test_a_broken_header_has_its_kind(change: Callable[[nib.Nifti1Header], None], kind: str, dataset: Dataset) -> None:
    write_header(dataset.image("a"), change)

    assert [(finding.kind, finding.case) for finding in judge(dataset)] == [(kind, "a")]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (put(xyzt_units=1, srow_x=[-0.004, 0, 0, 0], srow_y=[0, 0.004, 0, 0], srow_z=[0, 0, 0.005, 0], qform_code=0),
         "unit-not-mm"),
        (put(xyzt_units=6), "unit-not-mm"),
        (put(qform_code=77), "unsound-form"),
        (put(sform_code=77), "unsound-form"),
        (put(quatern_b=9), "unsound-form"),
        (put(srow_x=[0, 0, 0, 5]), "unsound-form"),
        (put(vox_offset=0), "no-offset-of-voxels"),
    ],
)  # fmt: skip
def test_an_odd_header_has_its_kind(change: Callable[[nib.Nifti1Header], None], kind: str, dataset: Dataset) -> None:
    write_header(dataset.image("a"), change)

    assert kind in {finding.kind for finding in judge(dataset) if finding.case == "a"}
    assert "odd-file" not in {finding.kind for finding in judge(dataset)}


def test_bytes_behind_the_voxels_are_odd(dataset: Dataset) -> None:
    with dataset.image("a").open("ab") as file:
        file.write(b"further bytes")

    assert [(finding.kind, finding.weight) for finding in judge(dataset)] == [("bytes-behind-voxels", Weight.ODD)]


def test_names_and_files_without_a_partner_are_findings(dataset: Dataset) -> None:
    dataset.image("b").rename(dataset.folder / "images" / "b.NII.GZ")
    (dataset.folder / "labels" / "lonely.nii.gz").write_bytes(b"")
    (dataset.folder / "images" / "notes.txt").write_text("x")

    found = {(finding.kind, finding.case, finding.weight) for finding in judge(dataset)}

    assert found == {
        ("bad-name", "b", Weight.UNUSABLE),
        ("labels-without-image", "", Weight.SUSPECT),
        ("file-passed-over", "", Weight.ODD),
    }


def test_codes_that_are_a_multiple_of_the_tables_are_told_as_such(dataset: Dataset) -> None:
    case = draw("narrow", "a")
    case.labels = case.labels.astype(np.uint16) * 63
    write_case(dataset, "a", case)

    (finding,) = judge(dataset)

    assert finding.kind == "unknown-label-value"
    assert finding.advice == "divide all ids by 63: then they are those of the table"


@pytest.mark.parametrize("ids", [[63, 126, 200], [-63, 63], [630]])
def test_other_unknown_codes_are_not_told_to_be_multiples(ids: list[int]) -> None:
    listed = ", ".join(f"{i} (5 voxels)" for i in ids)
    error = f"x/labels/a.nii.gz: label ids must be in the dataset's table, but these are not: {listed}; name them"

    (finding,) = judge_checks(of_errors(error, labels={1: "liver", 2: "spleen"}))

    assert finding.advice == "name them"


def test_a_message_is_split_at_its_last_semicolon() -> None:
    error = "x/labels/a.nii.gz: label and image: grids must agree; the far corner is off; resample the label"

    (finding,) = judge_checks(of_errors(error))

    assert finding.text == "labels: label and image: grids must agree; the far corner is off"
    assert finding.advice == "resample the label"


def test_excluded_cases_have_no_finding(dataset: Dataset) -> None:
    dataset.image("a").write_bytes(b"")

    assert judge_checks(check_dataset(dataset, {"a": "broken"})) == []


@pytest.mark.parametrize(
    ("defect", "kind"),
    [
        ("offset missing", "not-hu"),
        ("8 bits", "8-bit-image"),
        ("single slice", "single-slice"),
        ("no organ", "no-organ-labelled"),
        ("forms of the image", "forms-disagree"),
        ("no orientation", "no-orientation"),
    ],
)
def test_a_warning_is_left_to_the_measures_where_there_are_some(defect: str, kind: str, dataset: Dataset) -> None:
    case = draw("narrow", PLANTED)
    spoil = DEFECTS[defect].change(case)
    write_case(dataset, PLANTED, case)
    if spoil is not None:
        spoil(dataset)
    check = check_dataset(dataset)

    assert kind in MEASURED
    assert kind not in {finding.kind for finding in judge_checks(check)}
    assert (kind, PLANTED) in {(finding.kind, finding.case) for finding in judge_checks(check, measured=())}


def test_slices_along_the_fourth_axis_are_odd(dataset: Dataset) -> None:
    case = draw("narrow", "a")
    for path, array in ((dataset.image("a"), case.image), (dataset.label("a"), case.labels)):
        save(path, array[:, :, None], case.affine)

    assert {(finding.kind, finding.case) for finding in judge(dataset)} == {("slices-on-fourth-axis", "a")}


def test_a_case_named_in_vain_and_an_organ_in_no_case_are_findings(tmp_path: Path) -> None:
    toy = make_folder(tmp_path / "toy")
    case = draw("narrow", "a")
    case.labels[case.labels == 3] = 0
    write_case(toy, "a", case)
    dataset = replace(toy, description=toy.description.model_copy(update={"groups": {"nobody": "p"}}))

    assert {finding.kind for finding in judge(dataset)} == {"unknown-case-in-description", "organ-in-no-case"}
