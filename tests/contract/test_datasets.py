"""Nothing is ever written into a dataset folder: the guard that stands at each command's door."""

from pathlib import Path

import pytest
from helpers.brighttool import Place

from contract import yamlfiles
from contract.datasets import DatasetDescription, refuse_dataset_folder
from contract.errors import UsageError


@pytest.fixture
def word(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "word"
    (folder / "labels").mkdir(parents=True)
    (folder / "dataset.yaml").write_text("name: word\n")
    return folder


@pytest.mark.parametrize(
    "place", ["", ".", "new", "labels", "labels/a.nii.gz", "a/b/c", "../word/x", "../other/../word"]
)
def test_a_place_in_a_dataset_is_refused_whether_it_exists_or_not(place: str, word: Path) -> None:
    with pytest.raises(UsageError, match="nothing is ever written into a dataset folder") as caught:
        refuse_dataset_folder(word / place)

    assert str(word) in str(caught.value)


@pytest.mark.parametrize("place", ["..", "../out", "../words", "labels/../../out", "../../results/word"])
def test_a_place_beside_a_dataset_is_fine(place: str, word: Path) -> None:
    refuse_dataset_folder(word / place)


def test_a_link_into_a_dataset_and_a_link_in_a_dataset_are_refused(word: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "into").symlink_to(word / "labels")
    (word / "images").symlink_to(tmp_path / "elsewhere")

    for place in (tmp_path / "into" / "x", word / "images" / "x"):
        with pytest.raises(UsageError, match="dataset folder"):
            refuse_dataset_folder(place)


def test_where_images_really_lie_is_refused_for_a_dataset_that_is_known(word: Path, tmp_path: Path) -> None:
    (tmp_path / "nas").mkdir()
    (word / "images").symlink_to(tmp_path / "nas")

    refuse_dataset_folder(tmp_path / "nas" / "scores.csv")
    with pytest.raises(UsageError, match="dataset folder"):
        refuse_dataset_folder(tmp_path / "nas" / "scores.csv", word)


def test_a_tool_whose_results_would_go_into_a_dataset_refuses_and_writes_nothing(place: Place) -> None:
    place.out = place.data
    before = sorted(place.data.rglob("*"))

    done = place.run("--label-version", "images")

    assert done.returncode == 2
    assert "nothing is ever written into a dataset folder" in done.stderr
    assert sorted(place.data.rglob("*")) == before


@pytest.mark.parametrize("name", ["../other", "a/b", ".hidden", "a b", "a\n"])
def test_a_label_version_that_is_no_folders_name_is_refused(name: str, place: Place) -> None:
    done = place.run("--label-version", name)

    assert done.returncode == 2
    assert "--label-version: must be letters" in done.stderr
    assert not place.out.exists()


def test_groups_may_be_numbers_and_name_cases(tmp_path: Path) -> None:
    (tmp_path / "dataset.yaml").write_text("name: word\ngroups: {case_1: 17, case_2: '017', case_3: patient a}\n")

    description = yamlfiles.load(tmp_path / "dataset.yaml", DatasetDescription)

    assert description.groups == {"case_1": "17", "case_2": "017", "case_3": "patient a"}
    (tmp_path / "dataset.yaml").write_text("name: word\ngroups: [case_1, case_2]\n")
    with pytest.raises(UsageError, match="groups: must be"):
        yamlfiles.load(tmp_path / "dataset.yaml", DatasetDescription)


@pytest.mark.parametrize("organ", ['"liver\\n"', '" "', '""', '"liver\\t2"'])
def test_an_organ_whose_name_cant_be_printed_is_refused(organ: str, tmp_path: Path) -> None:
    (tmp_path / "dataset.yaml").write_text(f"name: word\nlabels: {{1: {organ}}}\n")

    with pytest.raises(UsageError, match="must be a text on one line"):
        yamlfiles.load(tmp_path / "dataset.yaml", DatasetDescription)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("default_variant: one\nvariants:\n  one: ", "default_variant: ../x\nvariants:\n  ../x: ", "but it is '../x'"),
        ("default_variant: one\nvariants:\n  one: ", "default_variant: One\nvariants:\n  One: ", "but it is 'One'"),
        ("  lowest-hu: ", "  Lowest HU: ", "options.Lowest HU: must be lower-case words"),
        ("  pause-s: ", "  cases: ", "every tool's command line has an option --cases"),
    ],
)
def test_a_name_in_a_manifest_that_would_meet_others_is_refused(old: str, new: str, message: str, place: Place) -> None:
    file = place.tool / "manifest.yaml"
    file.write_text(file.read_text().replace(old, new))

    done = place.run()

    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
