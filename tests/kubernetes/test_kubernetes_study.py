"""Whole studies as Jobs of a pretended Kubernetes, in real containers: the same bytes as on this machine."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import docker
import pytest
import yaml
from helpers.kubecluster import PretendedCluster, pretended_cluster
from helpers.running import wait_until
from helpers.studies import COORDINATOR, read_contents, run_coordinator

from coordinator.datasets.phantom import make_phantom
from coordinator.engine.locks import find_users
from coordinator.runners.docker import DockerRunner
from coordinator.study import steps
from coordinator.tools.finding import find_tool

pytestmark = [pytest.mark.kubernetes, pytest.mark.docker]
STUDY = """
name: kube
data: ../data
datasets: [phantom]
generators:
  - {name: degraded-90, tool: degrade, options: {target-dice: 0.9}}
  - {name: degraded-60, tool: degrade, options: {target-dice: 0.6}}
train: {epochs: 2, batches_per_epoch: 2, patch: "16,16,8", filters: "4,8,16", holdout: 0.4, seeds: [0], noise_seeds: []}
run: {threads: 1}
"""
TOOLS = ("degrade", "trainer")


@pytest.fixture(scope="module")
def calm(engine: docker.DockerClient, base_image: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the study on this machine, undisturbed; its data lie beside its folder."""
    for name in TOOLS:
        DockerRunner(base_image).build(find_tool(name))
    folder = tmp_path_factory.mktemp("claim")
    make_phantom(folder / "data" / "phantom", cases=5, shape=(32, 28, 12))
    done = run_coordinator("run", write_study(folder, "calm"), "--runtime", "docker")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "calm/runs/kube"


@pytest.fixture(scope="module")
def cluster(calm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PretendedCluster]:
    with pretended_cluster(tmp_path_factory.mktemp("cluster"), calm.parents[2]) as cluster:
        cluster.add_images([find_tool(name) for name in TOOLS])
        yield cluster


@pytest.fixture(scope="module")
def in_pods(calm: Path, cluster: PretendedCluster) -> Path:
    """The run folder of the study on Kubernetes, undisturbed."""
    study = write_study(cluster.claim, "pods", cluster.site)
    done = run_coordinator("run", study, "--place", "kubernetes", environment=cluster.environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return study.parent / "runs/kube"


def write_study(folder: Path, name: str, site: str | None = None) -> Path:
    """Write the study into a folder beside the data, and return its file."""
    (folder / name).mkdir()
    if site is not None:
        (folder / name / "site.yaml").write_text(site)
    (folder / name / "study.yaml").write_text(STUDY)
    return folder / name / "study.yaml"


def start(study: Path, cluster: PretendedCluster) -> "subprocess.Popen[bytes]":
    """Run a study on Kubernetes, in a process group of its own."""
    return subprocess.Popen(
        [COORDINATOR, "run", study, "--place", "kubernetes"], stdout=subprocess.DEVNULL, start_new_session=True,
        env=os.environ | cluster.environment,
    )  # fmt: skip


def kill_all(run: Path, coordinator: "subprocess.Popen[bytes]") -> None:
    """Kill a coordinator and all that it started, as where its pod or machine dies."""
    coordinator.kill()
    coordinator.wait()
    for file in steps.state_files(run, ".lock"):
        for process in find_users(file):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def tool_steps(run: Path) -> list[str]:
    return sorted(step.id for step in steps.read_plan(run).steps if step.tool)


def made(cluster: PretendedCluster, run: Path) -> list[str]:
    """The steps of a run folder for which Jobs were made, each as often as that happened."""
    names = {step_id: None for step_id in tool_steps(run)}
    own = {steps.log_file(run, name).read_text().split()[1] for name in names if steps.log_file(run, name).is_file()}
    return sorted(step for name, step, *_ in cluster.journal() if name in own)


def differing(run: Path, other: Path, folder: str = "") -> list[str]:
    """The files that two run folders don't share, or that have other bytes."""
    ours, theirs = read_contents(run), read_contents(other)
    return sorted(name for name in {*ours, *theirs} if name.startswith(folder) and ours.get(name) != theirs.get(name))


def test_pods_make_the_bytes_of_containers_on_this_machine(calm: Path, in_pods: Path, cluster: PretendedCluster):
    assert differing(in_pods, calm, "datasets/") == []
    assert differing(in_pods, calm, "report/") == []
    assert made(cluster, in_pods) == tool_steps(in_pods)


def test_a_dry_run_writes_manifests_and_makes_no_job(cluster: PretendedCluster):
    study = write_study(cluster.claim, "dry", cluster.site)
    before = cluster.journal()

    done = run_coordinator("run", study, "--place", "kubernetes", "--dry-run", environment=cluster.environment)

    assert done.returncode == 0, done.stderr
    folder = study.parent / "runs/kube/.kubernetes/manifests"
    assert f"written, and nothing submitted: {folder}" in done.stderr
    manifests = {str(file.relative_to(folder)): yaml.safe_load(file.read_text()) for file in folder.rglob("*.yaml")}
    kinds = {name: manifest["kind"] for name, manifest in manifests.items()}
    listed = [line for line in done.stdout.splitlines() if f"{line}.yaml" in kinds]
    assert kinds == {"network-policy.yaml": "NetworkPolicy"} | {f"{step}.yaml": "Job" for step in listed}
    assert len(listed) == 12
    assert cluster.journal() == before


def test_a_coordinator_that_is_killed_with_all_its_steps(in_pods: Path, cluster: PretendedCluster):
    study = write_study(cluster.claim, "killed", cluster.site)
    run = study.parent / "runs/kube"
    first = start(study, cluster)
    wait_until(lambda: len(made(cluster, run)) >= 3 if (run / steps.PLAN).exists() else False, 120)
    kill_all(run, first)
    cluster.set("down")
    assert start(study, cluster).wait(60) == 2  # it asks before it starts, and says that nobody answers
    cluster.set("down", False)

    assert start(study, cluster).wait(300) == 0
    assert made(cluster, run) == tool_steps(run)
    assert differing(run, in_pods) == []


@pytest.mark.long
def test_twenty_kills_make_no_job_twice(in_pods: Path, cluster: PretendedCluster):
    study = write_study(cluster.claim, "twenty", cluster.site)
    run = study.parent / "runs/kube"
    chance = random.Random(20)  # noqa: S311 - moments to kill at
    for _ in range(20):
        running = start(study, cluster)
        time.sleep(chance.uniform(2, 12))
        kill_all(run, running)

    assert start(study, cluster).wait(400) == 0
    assert made(cluster, run) == tool_steps(run)
    assert differing(run, in_pods) == []
