"""Whole studies as jobs of a real Slurm, in Apptainer: the same bytes as on this machine, whatever was killed."""

import random
import signal
import subprocess
import time
from pathlib import Path

import docker
import pytest
from helpers.running import wait_until
from helpers.slurm import (
    SITE,
    count_executions,
    jobs_of,
    kill_controller,
    start_controller,
    wait_for_state,
    wait_with_nodes,
)
from helpers.studies import COORDINATOR, read_contents, run_coordinator

from coordinator.datasets.phantom import make_phantom
from coordinator.runners.apptainer import ApptainerRunner
from coordinator.study import steps
from coordinator.tools.finding import find_tool

pytestmark = [pytest.mark.slurm, pytest.mark.docker, pytest.mark.apptainer]
STUDY = """
name: clustered
data: ../data
datasets: [phantom]
generators:
  - {name: degraded-90, tool: degrade, options: {target-dice: 0.9}}
  - {name: degraded-60, tool: degrade, options: {target-dice: 0.6}}
train: {epochs: 2, batches_per_epoch: 2, patch: "16,16,8", filters: "4,8,16", holdout: 0.4, seeds: [0], noise_seeds: []}
run: {runtime: apptainer, threads: 1}
"""


@pytest.fixture(scope="module")
def sifs(engine: docker.DockerClient, apptainer: str) -> None:
    """SIF files of the tools of the study."""
    for name in ("degrade", "trainer"):
        ApptainerRunner().build(find_tool(name))


@pytest.fixture(scope="module")
def calm(sifs: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the study on this machine, undisturbed; its data and study file lie beside it."""
    folder = tmp_path_factory.mktemp("study")
    make_phantom(folder / "data" / "phantom", cases=5, shape=(32, 28, 12))
    done = run_coordinator("run", write_study(folder, "calm"))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "calm/runs/clustered"


def write_study(folder: Path, name: str) -> Path:
    """Write the study, with a site profile, into a folder beside the data, and return its file."""
    (folder / name).mkdir()
    (folder / name / "site.yaml").write_text(SITE)
    (folder / name / "study.yaml").write_text(STUDY)
    return folder / name / "study.yaml"


def start(study: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([COORDINATOR, "run", study, "--place", "slurm"], stdout=subprocess.DEVNULL)


def count_done(run: Path) -> int:
    return sum(steps.is_done(run, step) for step in steps.read_plan(run).steps) if (run / steps.PLAN).exists() else 0


def assert_same(run: Path, calm: Path) -> None:
    """Every step ran once, and left the same bytes."""
    expected, contents = read_contents(calm), read_contents(run)
    assert contents.keys() == expected.keys()
    assert [name for name in expected if expected[name] != contents[name]] == []
    assert count_executions(run) == {step.id: 1 for step in steps.read_plan(run).steps}


def test_a_study_whose_coordinator_and_controller_are_killed(calm: Path):
    study = write_study(calm.parents[2], "killed")
    run = study.parent / "runs/clustered"
    first = start(study)
    wait_until(lambda: count_done(run) >= 2, 300)
    wait_for_state(run, "clustered", "RUNNING", "PENDING")
    first.send_signal(signal.SIGKILL)
    first.wait()

    second = start(study)
    wait_for_state(run, "clustered", "RUNNING", "PENDING")
    kill_controller(signal.SIGTERM)  # by SIGKILL it may forget a job, whose step is then submitted again
    time.sleep(2)
    start_controller()

    assert wait_with_nodes(second, 600) == 0
    assert_same(run, calm)


def test_a_submitted_study_goes_on_alone_and_is_collected_later(calm: Path):
    study = write_study(calm.parents[2], "submitted")
    run = study.parent / "runs/clustered"
    submitted = run_coordinator("submit", study)
    assert submitted.returncode == 0, submitted.stderr
    number = len(steps.read_plan(run).steps)
    assert submitted.stdout.startswith(f"{number} steps are in the queue: jobs ")
    wait_for_state(run, "clustered", "COMPLETED", count=number)
    assert count_done(run) == number

    collected = run_coordinator("run", study, "--place", "slurm")

    assert collected.returncode == 0, collected.stdout + collected.stderr
    assert f"all {number} steps are done" in collected.stdout
    assert len(jobs_of(run, "clustered")) == number
    assert_same(run, calm)


@pytest.mark.long
def test_twenty_kills_submit_no_step_twice(calm: Path):
    study = write_study(calm.parents[2], "twenty")
    run = study.parent / "runs/clustered"
    chance = random.Random(20)  # noqa: S311 - moments to kill at
    for _ in range(20):
        running = start(study)
        time.sleep(chance.uniform(1, 9))
        running.kill()
        running.wait()

    assert wait_with_nodes(start(study), 400) == 0
    assert_same(run, calm)
