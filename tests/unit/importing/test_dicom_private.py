"""No field of a header that says who, where or when somebody was is written by an import, whatever comes of it."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.dicomcases import draw, import_into_data, place
from helpers.dicomlabels import draw_contours, write_seg
from helpers.dicomseries import PERSONAL, write_ct, write_rtstruct
from pydicom import Dataset, dcmread

from contract.datasets import open_dataset
from coordinator.datasets.importing.dicom.naming import is_personal, name_cases, personal_words

Captured = pytest.CaptureFixture[str]


def planted_values(source: Path) -> set[bytes]:
    """Personal values and UIDs of all files, whole and word by word."""
    values = {value for value in PERSONAL.values() if len(value) > 1}
    values |= {word for value in values for word in value.replace("^", " ").split() if len(word) > 3}
    for file in source.rglob("*"):
        if file.is_file():
            header = dcmread(file, force=True, stop_before_pixels=True)
            values |= {
                str(element.value)
                for element in header.iterall()
                if element.VR == "UI" and "Instance" in element.keyword
            }
            values |= {str(header.get("FrameOfReferenceUID") or header.StudyInstanceUID)}
    return {value.encode() for value in values}


def written_bytes(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Names, and bytes as they are and inflated, of all that was written."""
    for path in folder.rglob("*"):
        yield str(path), str(path.relative_to(folder)).encode()
        if path.is_file():
            content = path.read_bytes()
            yield str(path), content
            if path.name.endswith(".gz"):
                yield str(path), gzip.decompress(content)


def expect_nothing_personal(source: Path, written: Path) -> None:
    values = planted_values(source)
    assert len(values) > 40
    found = {(place, value) for place, content in written_bytes(written) for value in values if value in content}
    assert found == set()


def write_two(source: Path, first: str, second: str) -> None:
    """Two labelled scans in folders of these names, and one that is set aside."""
    image, masks = draw(1, place())
    slices = write_ct(source / first / "ct", image, place())
    write_seg(source / first / "seg" / "1.dcm", slices, {"Liver": masks["liver"], "Spleen": masks["spleen"]})
    slices = write_ct(source / second / "ct", image, place(), key="b")
    contours = {organ: draw_contours(masks[organ], place()) for organ in ("liver", "spleen")}
    write_rtstruct(source / second / "rt" / "1.dcm", slices[0], contours)
    slices = write_ct(source / f"{second} again" / "ct", image, place(), key="c")
    write_seg(source / f"{second} again" / "seg" / "1.dcm", slices, {"Liver": masks["liver"]})
    slices[4].unlink()


def test_no_byte_of_the_dataset_is_that_of_a_personal_field(tmp_path: Path, capfd: Captured):
    write_two(tmp_path / "clinic", "north", "south")
    for file in (tmp_path / "clinic" / "north" / "ct").iterdir():
        file.write_bytes(file.read_bytes()[132:])  # is written anew for dcm2niix

    ended = import_into_data(capfd, tmp_path / "clinic")

    assert ended.code == 3
    assert open_dataset(tmp_path / "data", "clinic").cases() == ["north", "south"]
    expect_nothing_personal(tmp_path / "clinic", tmp_path / "data")


@pytest.mark.parametrize(
    "folders",
    [("Qxdoe_Qxjane", "other"), ("QXID-77123", "other"), ("first", "1947-05-13"), ("1.2.840.113619.2.5.1762583153.215519", "x"),
     ("QXCLINIC HEIGHTS 1", "QXCLINIC HEIGHTS 2")],
    ids=["name", "number", "birth date", "UID", "institution"],
)  # fmt: skip
def test_cases_of_folders_with_personal_names_are_numbered_and_the_dry_run_shows_which_they_are(
    folders: tuple[str, str], tmp_path: Path, capfd: Captured
):
    write_two(tmp_path / "clinic", *folders)

    planned = import_into_data(capfd, tmp_path / "clinic", "--dry-run")
    ended = import_into_data(capfd, tmp_path / "clinic")

    assert ended.code == 3
    order = sorted(f"{folder}/ct" for folder in (*folders, f"{folders[1]} again"))
    rows = [line.split("  ") for line in planned.out.splitlines()[1:4]]
    assert [row[0] for row in rows] == ["case_0001", "case_0002", "case_0003"]
    assert [row[1].startswith(f"{folder} (series 3, ") for row, folder in zip(rows, order, strict=True)] == [True] * 3
    assert "note: cases are numbered in the order of their folders" in ended.out
    broken = f"case_000{order.index(f'{folders[1]} again/ct') + 1}"
    assert f"error: {broken}: set aside: series 3: no slice may be missing" in ended.err
    expect_nothing_personal(tmp_path / "clinic", tmp_path / "data")
    record = (tmp_path / "data" / "clinic" / "import.json").read_text()
    assert not any(folder in record for folder in folders if folder not in ("other", "first", "x"))


def test_a_source_that_is_called_as_a_patient_does_not_name_the_dataset(tmp_path: Path, capfd: Captured):
    write_ct(tmp_path / "QXDOE_JANE", draw(1, place())[0], place())

    ended = import_into_data(capfd, tmp_path / "QXDOE_JANE")

    assert ended.code == 0
    assert open_dataset(tmp_path / "data", "dicom").cases() == ["case_0001"]
    assert json.loads((tmp_path / "data" / "dicom" / "import.json").read_text())["source"] == "dicom"
    expect_nothing_personal(tmp_path / "QXDOE_JANE", tmp_path / "data")


def test_pseudonyms_of_headers_that_were_made_anonymous_may_name_cases(tmp_path: Path, capfd: Captured):
    def make_anonymous(header: Dataset, number: int) -> None:
        header.PatientIdentityRemoved = "YES"

    write_ct(tmp_path / "s" / "QXID77123" / "study" / "ct", draw(1, place())[0], place(), change=make_anonymous)

    assert import_into_data(capfd, tmp_path / "s").code == 0
    assert open_dataset(tmp_path / "data", "s").cases() == ["QXID77123"]


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["p1/ct", "p2/ct"], ["p1", "p2"]),
        (["all/p1/ct", "all/p2/ct"], ["p1", "p2"]),
        (["p1/a/ct", "p1/b/ct", "p2/a/ct"], ["p1_a", "p1_b", "p2_a"]),
        (["p1", "p1/more"], ["p1", "p1_more"]),
        ([""], ["source"]),
        (["", "p1"], ["source", "p1"]),
        (["", "source"], ["case_0001", "case_0002"]),
        (["a_b/c", "a/b_c", "a/x"], ["case_0003", "case_0001", "case_0002"]),
    ],
)
def test_names_are_as_short_as_can_tell_the_folders_apart(folders: list[str], names: list[str]):
    named = name_cases(folders, "source", frozenset())[0]

    assert [named[folder] for folder in folders] == names


def test_words_are_found_in_names_however_they_are_written():
    header = Dataset()
    header.PatientName, header.PatientID, header.PatientBirthDate = "Doe^Jane", "ID-77", "19470513"
    header.OperatorsName = "Tien^Li"
    words = frozenset(personal_words(header))

    assert all(
        is_personal(name, words) for name in ("DOE^Jane", "jane 3", "x_ID-77", "pid77x", "1947_05_13", "scanjanedoe2")
    )
    assert not any(
        is_personal(name, words) for name in ("does", "CT 1947", "abdomen", "case_0001", "patient 12", "light")
    )
    assert np.all([is_personal("1.2.840.10008.5.1", frozenset()), not is_personal("1.2.840", frozenset())])
