"""`coordinator dataset`."""

from pathlib import Path

import pytest

from contract import yamlfiles
from contract.datasets import DatasetDescription
from contract.errors import UsageError
from coordinator.cli.dataset import dataset as dataset_commands


def test_describe_prints_a_description_that_can_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset_commands.main(["describe", "word"], standalone_mode=False)

    (tmp_path / "dataset.yaml").write_text(capsys.readouterr().out)
    assert yamlfiles.load(tmp_path / "dataset.yaml", DatasetDescription).labels[13] == "rectum"


def test_describe_refuses_an_unknown_name() -> None:
    with pytest.raises(UsageError, match="no known dataset 'amos'; did you mean `amos22`"):
        dataset_commands.main(["describe", "amos"], standalone_mode=False)
