"""Every command that writes refuses a place in a dataset at its door, before it does anything."""

import json
from pathlib import Path

import pytest

from contract.errors import UsageError
from coordinator import report
from coordinator.cli.main import commands
from coordinator.cli.studyrun import write_report


@pytest.fixture
def word(tmp_path: Path) -> Path:
    """A dataset folder in which somebody put what looks like a run folder."""
    folder = tmp_path / "data" / "word"
    (folder / "contract").mkdir(parents=True)
    (folder / "dataset.yaml").write_text("name: word\n")
    (folder / "study.yaml").write_text("name: mine\n")
    (folder / "plan.json").write_text(json.dumps({"cases": {}, "steps": []}))
    return folder


@pytest.mark.parametrize(
    "command",
    [
        ["weights", "fetch", "medsam", "--weights", "{}"],
        ["weights", "fetch", "--all", "--weights", "{}/weights"],
        ["tool", "new", "mine", "--folder", "{}"],
        ["tool", "add", "lab/seg:1", "--tools", "{}/tools"],
        ["tool", "remove", "lab/seg:1", "--tools", "{}"],
        ["exec-step", "{}", "word/2-labels/base"],
        ["dataset", "phantom", "{}/more"],
    ],
)
def test_a_command_refuses_to_write_into_a_dataset(command: list[str], word: Path) -> None:
    before = sorted(word.rglob("*"))

    with pytest.raises(UsageError, match="nothing is ever written into a dataset folder"):
        commands.main([part.format(word) for part in command], standalone_mode=False)

    assert sorted(word.rglob("*")) == before


def test_a_report_is_written_into_no_dataset(word: Path, tmp_path: Path) -> None:
    (word / "empty").mkdir()

    with pytest.raises(UsageError, match="dataset folder"):
        report.write_report(tmp_path / "run", word / "empty")
    with pytest.raises(UsageError, match="dataset folder"):
        write_report(word)

    assert not list((word / "empty").iterdir())


@pytest.mark.parametrize("command", ["status", "logs", "report"])
def test_a_run_folder_of_an_earlier_version_is_met_with_what_to_do(command: str, tmp_path: Path) -> None:
    (tmp_path / "word" / "split").mkdir(parents=True)
    plan = {"cases": {"word": ["a"]}, "steps": [{"id": "word/2-labels/base", "output": "word/2-labels/base"}]}
    (tmp_path / "plan.json").write_text(json.dumps(plan))

    with pytest.raises(UsageError, match="move them, then they are found again"):
        commands.main([command, str(tmp_path)], standalone_mode=False)
