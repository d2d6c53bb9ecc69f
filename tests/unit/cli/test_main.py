"""What the command line says about mistakes in arguments."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers.studies import run_coordinator

from contract.errors import UsageError
from coordinator.study.template import study_template


@pytest.mark.parametrize("names", [["a b"], ["data/word"], ["Word"], [""], ["-"], ["x: y"], ["x" * 300]])
def test_init_prints_no_study_of_names_that_no_dataset_folder_can_have(names: list[str]):
    with pytest.raises(UsageError, match="DATASETS: must be names of folders below --data"):
        study_template(names, "data")


@pytest.mark.parametrize("data", ["a: b", "no", "0014", "it's", "# x", "~", "/data/my study", "1e3", ""])
def test_init_quotes_what_yaml_would_read_as_something_else(data: str):
    content = yaml.safe_load(study_template(["0014", "word.2"], data))

    assert content["data"] == data
    assert content["datasets"] == ["0014", "word.2"]
    assert yaml.safe_load(study_template(["word.2"], data))["name"] == "word-2-label-quality"


def test_score_takes_no_tolerance_that_is_no_number(tmp_path: Path):
    done = run_coordinator("score", tmp_path, tmp_path, "--dataset", tmp_path, "--tolerance-mm", "nan")

    assert (done.returncode, done.stderr) == (
        2, "error: --tolerance-mm: must be a number above 0 and up to 100, but it is nan\n",
    )  # fmt: skip


@pytest.mark.parametrize("arguments", [("--socket", "x"), ("--serve", "--socket", "x", "--port", "1")])
def test_a_socket_comes_with_serve_and_without_a_port(arguments: tuple[str, ...], tmp_path: Path):
    done = run_coordinator("report", tmp_path, *arguments)

    assert done.returncode == 2
    assert done.stderr.startswith("error: --socket: must come with --serve and without --port")


def test_a_path_that_cannot_be_used_is_a_sentence(tmp_path: Path):
    (tmp_path / "loop").symlink_to("loop")

    for path, reason in {"x" * 300: "File name too long", str(tmp_path / "loop"): "no dataset 'loop'"}.items():
        done = subprocess.run(
            [sys.executable, "-c", "from coordinator.cli.main import main; main()", "dataset", "check", path],
            capture_output=True, text=True, check=False, cwd=tmp_path, env=os.environ,
        )  # fmt: skip

        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert reason in done.stderr
        assert "Traceback" not in done.stderr
