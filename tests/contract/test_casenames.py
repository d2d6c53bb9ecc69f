"""Names of cases: which can be used, which are passed over, and how a tool's list of cases carries them."""

import unicodedata
from pathlib import Path

import pytest
from helpers.brighttool import Place

from contract.casenames import case_names, describe_passed_over, find_near_miss, find_twins, list_passed_over

ODD = (
    "Patient 02",
    "Größe_04",
    "case_05,b",
    "-case_06",
    "(case) [8]",
    "o'case_09",
    "case#11",
    "@13",
    "$HOME_16",
    " x ",
)


@pytest.mark.parametrize("case", ODD)
def test_a_tool_does_every_case_that_a_list_names_whatever_it_is_called(case: str, place: Place) -> None:
    place.image("a").rename(place.image(case))
    (place.data / "all.txt").write_text(f"b\n{case}\nc\n", encoding="utf-8")

    done = place.run("--cases", "@all.txt")

    assert (done.returncode, done.stderr.count("error")) == (0, 0)
    assert {case: record["state"] for case, record in place.statuses().items()} == dict.fromkeys(
        (case, "b", "c"), "done"
    )


def test_a_list_from_another_system_is_read_the_same(place: Place) -> None:
    place.image("a").rename(place.image("Patient 02"))
    (place.data / "all.txt").write_bytes(b"Patient 02\r\nb\r\n\r\n")

    done = place.run("--cases", "@all.txt")

    assert done.returncode == 0
    assert list(place.statuses()) == ["Patient 02", "b"]


def test_help_says_which_names_a_command_line_can_carry(place: Place) -> None:
    text = " ".join(place.run("--help").stdout.split())

    assert "a name with a comma" in text
    assert "one name a line" in text


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("c.nii", "must end in .nii.gz, but ends in .nii; compress it with gzip"),
        ("c.NII.GZ", "must end in .nii.gz, but ends in .NII.GZ; rename it"),
        ("c\n1.nii.gz", "no control character or line break"),
        ("c\x7f.nii.gz", "no control character or line break"),
        ("c\u2028d.nii.gz", "no control character or line break"),
        ("é" * 101 + ".nii.gz", "at most 200 bytes, but has 202"),
        ("c\udce9.nii.gz", "must be UTF-8"),
        (".DS_Store", "hidden files are no cases"),
        ("._c.nii.gz", "hidden files are no cases"),
        ("notes.txt", "a case's file ends in .nii.gz"),
    ],
)
def test_a_file_that_is_no_case_is_passed_over_with_its_name_and_why(file: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").touch()
    (tmp_path / file).touch()

    (line,) = describe_passed_over(tmp_path)

    assert case_names(tmp_path) == ["a"]
    assert why in line
    assert file[0] in line
    assert line.isprintable()


def test_a_folder_of_files_is_passed_over_with_advice(tmp_path: Path) -> None:
    (tmp_path / "patient_1").mkdir()

    (item,) = list_passed_over(tmp_path)

    assert (item.file, item.case) == ("patient_1", None)
    assert "put its files beside the others" in item.why


def test_a_name_of_200_bytes_is_a_case(tmp_path: Path) -> None:
    (tmp_path / f"{'é' * 100}.nii.gz").touch()

    assert case_names(tmp_path) == ["é" * 100]
    assert list_passed_over(tmp_path) == []


def test_names_that_another_filesystem_cant_tell_apart_are_twins() -> None:
    decomposed = unicodedata.normalize("NFD", "é")

    twins = find_twins(["A", "a", "b", "é", decomposed, "é2"])

    assert list(twins) == ["A", "a", "é", decomposed]
    assert "this one and a differ only in upper and lower case; rename or exclude one" in twins["A"]
    assert "in the Unicode form of accents" in twins["é"]


@pytest.mark.parametrize(
    ("case", "file", "difference"),
    [
        ("d_0000", "d.nii.gz", "by nnU-Net's ending _0000"),
        ("d", "d_0000.nii.gz", "by nnU-Net's ending _0000"),
        ("Case_1", "case_1.nii.gz", "in upper and lower case"),
        ("e", "e.nii", "in its ending .nii"),
        ("e", "e.NII.GZ", "in its ending .NII.GZ"),
        ("é", unicodedata.normalize("NFD", "é.nii.gz"), "in the Unicode form of accents"),
    ],
)
def test_a_file_that_is_nearly_called_as_a_case_is_found(case: str, file: str, difference: str, tmp_path: Path) -> None:
    (tmp_path / "other.nii.gz").touch()
    (tmp_path / file).touch()

    found = find_near_miss(tmp_path, case, {case})

    assert found is not None
    assert found[0] == file
    assert difference in found[1]


def test_the_file_of_another_case_is_no_near_miss(tmp_path: Path) -> None:
    (tmp_path / "d.nii.gz").touch()

    assert find_near_miss(tmp_path, "d_0000", {"d", "d_0000"}) is None


def test_a_tool_names_the_files_that_it_passes_over_and_fails_twins_alone(place: Place) -> None:
    place.image("b").rename(place.image("A"))
    place.image("c").with_name("c.nii").write_bytes(b"")

    done = place.run()

    assert done.returncode == 3
    assert "passed over: c.nii" in done.stderr
    assert {case: record["state"] for case, record in place.statuses().items()} == {
        "A": "failed", "a": "failed", "c": "done"
    }  # fmt: skip
    assert "differ only in upper and lower case" in place.statuses()["A"]["reason"]


def test_a_folder_without_any_case_says_which_files_it_has(place: Place) -> None:
    for case in "abc":
        place.image(case).rename(place.image(case).with_name(f"{case}.nii"))

    done = place.run()

    assert done.returncode == 2
    assert "a.nii, b.nii, c.nii" in done.stderr
