"""Every file that a study keeps for itself, damaged in every way: it is made again, or named in one sentence."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.damages import DAMAGES
from helpers.inprocess import Ended, call_coordinator
from helpers.studies import LIGHT, read_contents, run_coordinator

from coordinator.datasets.phantom import make_phantom

pytestmark = pytest.mark.venvs


KEPT_BY_RUN = ("events.jsonl", "snakemake.log", ".lock", ".todo", ".steps/phantom/3-scores/degraded-70.lock")
"""Files that a run appends to, or whose content is nothing that counts."""
FILES = (
    *KEPT_BY_RUN, "plan.json", "study.yaml", "failures.json", ".report.json",
    "datasets/phantom/check.json", "datasets/phantom/.check.json",
    "datasets/phantom/split/all.txt", "datasets/phantom/split/run.json",
    ".steps/.check.json", ".steps/phantom/3-scores/degraded-70.json", ".steps/phantom/3-scores/degraded-70/.check.json",
    "datasets/phantom/1-raw/degraded-70/status.jsonl", "datasets/phantom/1-raw/degraded-70/run.json",
    "datasets/phantom/2-labels/base/run.json", "datasets/phantom/2-labels/degraded-70/run.json",
    "datasets/phantom/3-scores/degraded-70.parquet", "datasets/phantom/3-scores/shells/degraded-70.parquet",
)  # fmt: skip


@pytest.fixture(scope="session")
def light_done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study of three small cases and one generator that is done."""
    folder = tmp_path_factory.mktemp("light")
    make_phantom(folder / "data" / "phantom", cases=3, shape=(24, 20, 8))
    (folder / "study.yaml").write_text(LIGHT)
    done = run_coordinator("run", folder / "study.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def light(light_done: Path, tmp_path: Path) -> Iterator[Path]:
    """That folder, which is as it was again afterwards."""
    shutil.copytree(light_done, tmp_path / "kept", symlinks=True)
    yield light_done
    shutil.rmtree(light_done)
    (tmp_path / "kept").rename(light_done)


def must_be_named(ended: Ended, file: str) -> None:
    assert ended.code in {0, 2, 3}, ended
    assert "Traceback" not in ended.err
    if ended.code:
        assert Path(file).name in ended.err, ended.err


@pytest.mark.parametrize(
    "damage",
    [pytest.param(name, marks=() if name in {"garbage", "a folder"} else pytest.mark.long) for name in DAMAGES],
)
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_state_file_is_made_again_or_named(
    light: Path, file: str, damage: str, capfd: pytest.CaptureFixture[str]
):
    run = light / "runs/light"
    before = read_contents(run)
    DAMAGES[damage](run / file)

    for command in (("status", run), ("report", run), ("plan", light / "study.yaml")):
        must_be_named(call_coordinator(capfd, *command), file)
    ran = call_coordinator(capfd, "run", light / "study.yaml")

    assert ran.code == 0, ran
    if file not in KEPT_BY_RUN:
        after = read_contents(run)
        assert {name for name in before if before[name] != after.get(name)} == set()


@pytest.mark.parametrize(
    "folder", [".snakemake", "datasets/phantom/split", "report", "logs", ".steps", ".steps/phantom"]
)
def test_a_file_in_the_place_of_a_folder_is_replaced_or_named(
    light: Path, folder: str, capfd: pytest.CaptureFixture[str]
):
    run = light / "runs/light"
    shutil.rmtree(run / folder, ignore_errors=True)
    (run / folder).write_bytes(bytes(range(256)))

    must_be_named(call_coordinator(capfd, "status", run), folder)
    ran = call_coordinator(capfd, "run", light / "study.yaml")

    must_be_named(ran, folder)
