"""`coordinator dataset`."""

from pathlib import Path

import pytest

from contract import yamlfiles
from contract.datasets import DatasetDescription, open_dataset
from contract.errors import UsageError
from coordinator.cli.dataset import dataset as dataset_commands
from coordinator.datasets.phantom import make_phantom


def test_describe_prints_a_description_that_can_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset_commands.main(["describe", "word"], standalone_mode=False)

    (tmp_path / "dataset.yaml").write_text(capsys.readouterr().out)
    assert yamlfiles.load(tmp_path / "dataset.yaml", DatasetDescription).labels[13] == "rectum"


def test_describe_refuses_an_unknown_name() -> None:
    with pytest.raises(UsageError, match="no known dataset 'amos'; did you mean `amos22`"):
        dataset_commands.main(["describe", "amos"], standalone_mode=False)


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """`data/word`, a link to where a distribution lies under its own name."""
    make_phantom(tmp_path / "data" / "word", cases=1, shape=(10, 10, 8))
    (tmp_path / "nas").mkdir()
    (tmp_path / "data" / "word").rename(tmp_path / "nas" / "WORD-V0.1.0")
    (tmp_path / "data" / "word").symlink_to(tmp_path / "nas" / "WORD-V0.1.0")
    return tmp_path / "data" / "word"


def test_check_takes_a_links_own_name_as_a_study_does(
    linked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(linked.parent)
    for folder in (str(linked), "word", "word/", "./word"):
        dataset_commands.main(["check", folder], standalone_mode=False)

    assert capsys.readouterr().out.count("1 of 1 cases can be used") == 4


def test_check_of_the_folder_in_which_a_shell_stands_takes_the_way_by_which_it_came(
    linked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(linked)
    monkeypatch.setenv("PWD", str(linked))

    dataset_commands.main(["check", "."], standalone_mode=False)

    assert "1 of 1 cases can be used" in capsys.readouterr().out


def test_check_refuses_one_folder_named_twice(linked: Path) -> None:
    with pytest.raises(UsageError, match="each FOLDER must be another one, but this one came twice"):
        dataset_commands.main(["check", str(linked), f"{linked}/"], standalone_mode=False)


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("word/more", "nothing is ever written into a dataset folder"),
        ("word", "hold a phantom of the same arguments"),
        ("My Phantom", "a dataset's name must be lower-case"),
    ],
)
def test_phantom_is_made_in_no_dataset_and_has_a_name_that_a_dataset_can_have(
    folder: str, message: str, linked: Path
) -> None:
    before = sorted(linked.parents[1].rglob("*"))

    with pytest.raises(UsageError, match=message):
        dataset_commands.main(["phantom", str(linked.parent / folder)], standalone_mode=False)

    assert sorted(linked.parents[1].rglob("*")) == before


def test_a_phantom_may_be_called_as_a_number(tmp_path: Path) -> None:
    make_phantom(tmp_path / "0014", cases=1, shape=(10, 10, 8))

    assert open_dataset(tmp_path, "0014").name == "0014"
