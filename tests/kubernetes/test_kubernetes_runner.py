"""Tools as Jobs of a pretended Kubernetes: the probe, in real containers."""

import json
import os
import re
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.kubecluster import PretendedCluster
from helpers.registry import registry
from helpers.running import (
    log_has,
    make_invocation,
    read_probe_facts,
    read_results,
    show_labels,
    start_runner,
    wait_until,
)

from contract.errors import UsageError
from coordinator.engine.kubernetes import delete_jobs, describe_jobs, refuse_live_jobs
from coordinator.runners import Invocation
from coordinator.runners.docker import DockerRunner
from coordinator.runners.kubernetes.images import push, require_pushed
from coordinator.runners.kubernetes.runner import KubernetesRunner
from coordinator.runners.kubernetes.settings import Settings
from coordinator.tools.finding import Tool

pytestmark = [pytest.mark.kubernetes, pytest.mark.docker]


def settle(cluster: PretendedCluster, folder: Path, **changes: Any) -> Settings:
    """Keep the settings of a run folder."""
    settings = Settings(folder, cluster.profile.model_copy(update=changes), {})
    settings.write()
    return settings


def run(cluster: PretendedCluster, invocation: Invocation, **changes: Any) -> int:
    return KubernetesRunner(settle(cluster, invocation.log.parent, **changes)).run(invocation)


def start(cluster: PretendedCluster, invocation: Invocation) -> "subprocess.Popen[bytes]":
    """Start a runner in a program of its own, and wait until its tool works."""
    settle(cluster, invocation.log.parent)
    program = start_runner("kubernetes", invocation)
    wait_until(lambda: log_has(invocation, "working on a"))
    return program


def pods(invocation: Invocation) -> list[str]:
    """The containers of an invocation that are there."""
    names = subprocess.run(["docker", "ps", "--all", "--format={{.Names}}"], capture_output=True, text=True, check=True)
    return [name for name in names.stdout.split() if name.startswith(invocation.name[:40])]


def test_a_pod_is_locked_down_and_sees_what_a_container_sees(
    built: Tool, tiny: Path, tmp_path: Path, cluster: PretendedCluster
):
    (tmp_path / "earlier").mkdir()
    invocation = make_invocation(built, tiny, tmp_path / "run")
    with_more = replace(
        show_labels(make_invocation(built, tiny, tmp_path / "more")), inputs={"store": tmp_path / "earlier"}
    )
    in_docker = make_invocation(built, tiny, tmp_path / "docker")

    assert run(cluster, invocation) == run(cluster, with_more) == DockerRunner().run(in_docker) == 0

    facts, expected = read_probe_facts(invocation), read_probe_facts(in_docker)
    assert facts.pop("processes") == "max"  # the kubelet's to bound
    assert facts == {name: value for name, value in expected.items() if name != "processes"}
    assert (read_probe_facts(with_more)["data"], read_probe_facts(with_more)["inputs"]) == (
        ["dataset.yaml", "images", "labels"],
        ["store"],
    )
    assert read_results(invocation) == read_results(in_docker) != {}
    assert {path.stat().st_uid for path in invocation.out.rglob("*")} == {os.getuid()}
    written = json.loads((invocation.out / "tiny/probe-bone/run.json").read_text())
    assert written["unrestricted"] == "the network, unless the namespace cuts it off"


def test_the_log_has_each_line_once(built: Tool, tiny: Path, tmp_path: Path, cluster: PretendedCluster):
    invocation = make_invocation(built, tiny, tmp_path / "run", "--pause-s", "1.5")

    run(cluster, invocation)

    text = invocation.log.read_text()
    assert re.findall("working on .*", text) == ["working on a", "working on b", "working on c"]
    assert text.startswith("Job lq-test-")
    assert "in namespace lab: registry.test/lab/probe@sha256:" in text.splitlines()[0]


def test_a_killed_runner_is_followed_by_one_that_takes_over(
    built: Tool, tiny: Path, tmp_path: Path, cluster: PretendedCluster
):
    invocation = make_invocation(built, tiny, tmp_path / "run", "--pause-s", "3")
    first = start(cluster, invocation)
    first.kill()
    first.wait()

    assert run(cluster, invocation) == 0
    assert len(cluster.journal()) == 1
    assert re.findall("working on .*", invocation.log.read_text()) == ["working on a", "working on b", "working on c"]


def test_a_job_that_ended_while_nobody_looked_is_taken_as_it_is_but_only_once(
    built: Tool, tiny: Path, tmp_path: Path, cluster: PretendedCluster
):
    invocation = make_invocation(built, tiny, tmp_path / "run", "--pause-s", "1")
    first = start(cluster, invocation)
    first.kill()
    first.wait()
    wait_until(lambda: (invocation.out / "tiny/probe-bone/run.json").exists())
    wait_until(lambda: not describe_jobs(invocation.log.parent))

    assert run(cluster, invocation) == 0
    assert len(cluster.journal()) == 1

    invocation.out.with_name("job.json").unlink()  # with its folder of results, once these are published
    assert run(cluster, invocation) == 0
    assert len(cluster.journal()) == 2


def test_sigterm_deletes_the_job_and_waits_for_its_pod(
    built: Tool, tiny: Path, tmp_path: Path, cluster: PretendedCluster
):
    invocation = make_invocation(built, tiny, tmp_path / "run", "--pause-s", "20")
    program = start(cluster, invocation)
    program.send_signal(signal.SIGTERM)

    assert program.wait(60) == 143
    assert pods(invocation) == []
    assert list(invocation.out.rglob("*.part")) == []


def test_exit_codes_come_back_and_a_failed_job_is_replaced(
    built: Tool, tiny: Path, tmp_path: Path, cluster: PretendedCluster
):
    invocation = make_invocation(built, tiny, tmp_path / "run", "--threshold", "much")

    assert run(cluster, invocation) == run(cluster, invocation) == DockerRunner().run(invocation) == 2
    assert len(cluster.journal()) == 2
    assert log_has(invocation, "on node-1 ended: exit code 2")


def test_a_job_of_an_older_plan_is_replaced(built: Tool, tiny: Path, tmp_path: Path, cluster: PretendedCluster):
    invocation = make_invocation(built, tiny, tmp_path / "run", "--pause-s", "20")
    first = start(cluster, invocation)
    first.kill()
    first.wait()

    assert run(cluster, replace(invocation, fingerprint="f2", arguments=("--dataset", "tiny"))) == 0
    assert [made[2] for made in cluster.journal()] == ["f1", "f2"]
    assert pods(invocation) != []  # of the second, which stays to be seen


def test_an_answer_that_is_lost_makes_no_second_job(built: Tool, tiny: Path, tmp_path: Path, cluster: PretendedCluster):
    invocation = make_invocation(built, tiny, tmp_path / "run")
    settle(cluster, invocation.log.parent)
    cluster.set("lose")
    program = start_runner("kubernetes", invocation)
    wait_until(cluster.journal)
    cluster.set("lose", False)

    assert program.wait(60) == 0
    assert len(cluster.journal()) == 1


def test_a_server_that_restarts_is_waited_for(built: Tool, tiny: Path, tmp_path: Path, cluster: PretendedCluster):
    invocation = make_invocation(built, tiny, tmp_path / "run", "--pause-s", "2")
    program = start(cluster, invocation)
    cluster.set("down")
    wait_until(lambda: (invocation.out / "tiny/probe-bone/run.json").exists())
    assert program.poll() is None
    cluster.set("down", False)

    assert program.wait(60) == 0
    assert len(cluster.journal()) == 1


def test_a_pod_whose_node_fails_is_replaced_and_goes_on_after_the_last_case(
    built: Tool, tiny: Path, tmp_path: Path, cluster: PretendedCluster
):
    invocation = make_invocation(built, tiny, tmp_path / "run", "--pause-s", "2")
    program = start(cluster, invocation)
    wait_until(lambda: log_has(invocation, "working on b"))
    cluster.set("disrupt")

    assert program.wait(90) == 0
    assert len(cluster.journal()) == 1
    assert re.findall("working on .*", invocation.log.read_text())[-2:] == ["working on b", "working on c"]
    assert invocation.log.read_text().count("working on a") == 1


def test_a_manifest_that_the_server_refuses_is_told(built: Tool, tiny: Path, tmp_path: Path, cluster: PretendedCluster):
    invocation = make_invocation(built, tiny, tmp_path / "run")

    with pytest.raises(UsageError, match="Kubernetes must take its Job lq-test-.*, but: .*tolerations.*site profile"):
        run(cluster, invocation, tolerations=({"key": 5},))


def test_what_no_pod_can_see_is_refused(built: Tool, tiny: Path, tmp_path: Path, cluster: PretendedCluster):
    invocation = make_invocation(built, tiny, tmp_path / "run")

    with pytest.raises(UsageError, match=r"must be in a folder that nodes .* but these are: none; name its volume"):
        run(cluster, invocation, volumes=())


def test_status_cancel_and_the_refusal_to_do_steps_elsewhere(
    built: Tool, tiny: Path, tmp_path: Path, cluster: PretendedCluster
):
    invocation = replace(make_invocation(built, tiny, tmp_path / "run", "--pause-s", "20"), step="tiny/1-raw/probe")
    folder = invocation.log.parent
    cluster.set("hold")
    settings = settle(cluster, folder)
    program = start_runner("kubernetes", replace(invocation, step=""))
    wait_until(
        lambda: list(describe_jobs(folder).values())[:1] and "0/1 nodes" in next(iter(describe_jobs(folder).values()))
    )
    assert next(iter(describe_jobs(folder).values())).startswith("waiting: Unschedulable: 0/1 nodes (Job lq-test-")
    with pytest.raises(UsageError, match="must have ended before its steps are done here, but 1 go on"):
        refuse_live_jobs(folder)
    cluster.set("hold", False)
    wait_until(lambda: next(iter(describe_jobs(folder).values())).startswith("running: on node-1 (Job lq-test-"))

    assert len(delete_jobs(folder)) == 1
    assert program.wait(60) == 1
    refuse_live_jobs(settings.run)


def test_an_image_is_pushed_and_named_by_its_digest(built: Tool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("COORDINATOR_IMAGES", str(tmp_path / "images"))
    with pytest.raises(UsageError, match="run `coordinator tool push REGISTRY probe` where Docker runs"):
        require_pushed(built)
    with registry() as address:
        pushed = push(built, f"{address}/lab/")
    assert re.fullmatch(f"{address}/lab/probe@sha256:[0-9a-f]{{64}}", pushed.name)
    assert require_pushed(built) == pushed
