"""The study file that `coordinator init` prints, for every name that a dataset can have."""

from pathlib import Path

import pytest
import yaml

from contract.errors import UsageError
from coordinator.study.file import load_study
from coordinator.study.template import study_template


@pytest.mark.parametrize("name", ["word", "amos22.v2", "0014", "1e3", "null", "on", "2020-13-45", "a" * 100])
def test_the_printed_file_is_read_whatever_the_dataset_is_called(name: str, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(study_template([name, "btcv"], "my data #1"))

    study = load_study(tmp_path / "study.yaml")

    assert study.content.datasets == (name, "btcv")
    assert study.content.data == "my data #1"


@pytest.mark.parametrize("name", ["data/word", "Word", "a: b", "", "a]"])
def test_a_name_that_no_dataset_can_have_is_refused(name: str) -> None:
    with pytest.raises(
        UsageError, match="DATASETS: must be names of folders below --data, but a dataset's name must be lower-case"
    ):
        study_template([name], "data")


def test_plain_names_are_printed_plainly() -> None:
    text = study_template(["word"], "../data")

    assert "datasets: [word]\n" in text
    assert yaml.safe_load(text)["name"] == "word-label-quality"
