"""The tool as a program: what it logs, what it refuses."""

import json
import os
import re
import runpy
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from coordinator.datasets.phantom import make_phantom

TOOL = Path(__file__).resolve().parents[3] / "containers" / "degrade"


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("data")
    make_phantom(data / "phantom", cases=2, shape=(48, 40, 12))
    return data


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    """Run tool.py as the main program, in this process: a start of its own costs seconds."""
    handler = signal.getsignal(signal.SIGTERM)
    for name in [name for name in os.environ if name.startswith("TOOL_")]:
        monkeypatch.delenv(name)

    def run(data: Path, out: Path, *arguments: str) -> int:
        program = [str(TOOL / "tool.py"), "--data", str(data), "--out", str(out), "--dataset", "phantom"]
        monkeypatch.setattr(sys, "argv", [*program, *arguments])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(TOOL / "tool.py"), run_name="__main__")
        assert isinstance(stopped.value.code, int)
        return stopped.value.code

    yield run
    signal.signal(signal.SIGTERM, handler)


def test_the_tool_says_what_it_reached_and_a_second_run_does_nothing(
    start: Callable[..., int], phantom: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    first, first_log = start(phantom, tmp_path, "--target-dice", "0.8"), capsys.readouterr().err
    second, second_log = start(phantom, tmp_path, "--target-dice", "0.8"), capsys.readouterr().err

    assert (first, second) == (0, 0), first_log
    reached = [float(value) for value in re.findall(r"phantom_00\d: mean Dice ([\d.]+) \(asked for 0.8\)", first_log)]
    assert len(reached) == 2
    assert np.mean(reached) == pytest.approx(0.8, abs=0.01)
    assert second_log.count("already done") == 2
    run = json.loads((tmp_path / "phantom" / "degrade-errors" / "run.json").read_text())
    assert run["options"]["target-dice"] == 0.8
    assert len(run["outputs"]) == 2


def test_a_consistent_run_draws_each_organ_too_small_or_too_large_in_all_cases(
    start: Callable[..., int], phantom: Path, tmp_path: Path
):
    boundary = ["--deformation-mm", "0", "--missing-slices", "0", "--missed-organs", "0"]

    code = start(phantom, tmp_path, "--target-dice", "0.8", "--consistent", *boundary)

    assert code == 0
    grows: dict[int, set[bool]] = {}
    for file in sorted((tmp_path / "phantom" / "degrade-errors").glob("*.nii.gz")):
        reference, result = (
            np.asarray(nib.load(path).dataobj) for path in (phantom / "phantom" / "labels" / file.name, file)
        )
        for label in np.unique(reference[reference > 0]):
            grows.setdefault(int(label), set()).add(bool((result == label).sum() > (reference == label).sum()))
    assert {len(signs) for signs in grows.values()} == {1}
    assert set.union(*grows.values()) == {False, True}


def test_a_target_below_the_range_is_refused(
    start: Callable[..., int], phantom: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    code = start(phantom, tmp_path, "--target-dice", "0.1")

    assert code == 2
    assert "--target-dice must be 0 (none) or lie in 0.3..0.99, but it is 0.1" in capsys.readouterr().err


def test_of_a_dataset_without_pairs_the_log_says_that_nothing_is_swapped(
    start: Callable[..., int], phantom: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "data" / "phantom"
    folder.mkdir(parents=True)
    for part in ("images", "labels"):
        (folder / part).symlink_to(phantom / "phantom" / part)
    text = (phantom / "phantom" / "dataset.yaml").read_text()
    (folder / "dataset.yaml").write_text(text.replace("kidney_left", "duodenum"))

    code = start(tmp_path / "data", tmp_path / "out", "--swapped-pairs", "1", "--cases", "phantom_001")

    assert code == 0
    assert "phantom: no organs form a left and right pair, so none are swapped" in capsys.readouterr().err
