"""`coordinator init` on what is no dataset yet: it gives the command that makes one, and that command works."""

import shlex
from pathlib import Path

import pytest
from helpers.distributions import write_pairs
from helpers.inprocess import call_coordinator

from coordinator.datasets.importing.descriptions import describe_known
from coordinator.datasets.phantom import make_phantom

Captured = pytest.CaptureFixture[str]
WORD = dict(describe_known("word").labels or {})


@pytest.mark.parametrize("where", ["downloads/My WORD", "data/WORD-V0.1.0", "data/word"])
def test_init_gives_the_command_that_imports_a_folder(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Captured
):
    monkeypatch.chdir(tmp_path)
    write_pairs(tmp_path / where, WORD, [2], "imagesTr/word_{:04d}.nii.gz", "labelsTr/word_{:04d}.nii.gz")

    refused = call_coordinator(capfd, "init", where.removeprefix("data/"))
    command = shlex.split(refused.err.strip().rsplit("make one of it first: ", 1)[1])
    imported = call_coordinator(capfd, *command[1:])

    assert refused.code == 2
    assert refused.err.startswith(f"error: {where}: must be a dataset folder, but has no dataset.yaml")
    if where == "data/word":
        assert "data/word: is the source itself, so that the dataset can't have that name; rename" in imported.err
    else:
        assert imported.code == 0
        assert "datasets: [word]" in call_coordinator(capfd, "init", "word").out


def test_init_of_a_dataset_and_of_a_name_that_is_nowhere_prints_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Captured
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "word").mkdir()
    make_phantom(tmp_path / "data" / "word", cases=1, shape=(10, 10, 8))

    assert "datasets: [word, amos22]" in call_coordinator(capfd, "init", "word", "amos22").out
