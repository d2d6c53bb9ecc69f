"""Jobs as Kubernetes reads them: every key that a site may set, and what states of Jobs and pods mean."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from helpers.running import make_invocation

from contract.errors import UsageError
from coordinator.runners import Invocation, Request
from coordinator.runners.cluster import Allowance, Cause
from coordinator.runners.kubernetes.ends import End, Wait, describe_wait, find_end
from coordinator.runners.kubernetes.manifests import MOST_BYTES, make_job, network_policy
from coordinator.runners.kubernetes.profile import KubernetesProfile, Volume
from coordinator.runners.kubernetes.settings import Settings, read_settings
from coordinator.runners.kubernetes.volumes import Claimed, locate
from coordinator.tools.finding import Tool

IMAGE = "registry.lab/label-quality/probe@sha256:" + "0" * 64
EVERYTHING: dict[str, Any] = {
    "labels": {"kueue.x-k8s.io/queue-name": "anna"},
    "annotations": {"note": "weekend"},
    "node_selector": {"zone": "a"},
    "gpu_node_selector": {"nvidia.com/gpu.product": "A100"},
    "tolerations": ({"key": "gpu", "operator": "Exists", "effect": "NoSchedule"},),
    "image_pull_secrets": ("registry",),
    "service_account": "studies",
    "priority_class": "low",
    "runtime_class": "nvidia",
}


@pytest.fixture
def invocation(probe: Tool, tiny: Path, tmp_path: Path) -> Invocation:
    """A step that can use a GPU."""
    return replace(
        make_invocation(probe, tiny, tmp_path / "Run 1"), step="tiny/1-raw/probe", request=Request(3, 4000, 1)
    )


def settle(invocation: Invocation, **changes: Any) -> Settings:
    top = Volume(path="/", claim="all")
    profile = KubernetesProfile(**{"volumes": (top,), **changes})
    return Settings(invocation.log.parent, profile, {invocation.step: 60.0})


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    return job["spec"]["template"]["spec"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("changes", [{}, EVERYTHING, {"run_as_caller": False}, {"gpus": False}], ids=str)
@pytest.mark.parametrize("version", ["1.26", "1.37"])
def test_a_job_passes_strict_validation(invocation: Invocation, changes: dict[str, Any], version: str):
    job = make_job(invocation, IMAGE, settle(invocation, **changes), Allowance())

    kubernetes_validate.validate(job, version, strict=True)
    kubernetes_validate.validate(network_policy(), version, strict=True)


def test_a_job_asks_for_what_the_step_needs_and_gets_more_after_it_had_too_little(invocation: Invocation):
    settings = settle(invocation, gpu_node_selector={"gpu": "A100"})
    shm_mb = invocation.tool.manifest.resources.shm_mb

    first = pod_of(make_job(invocation, IMAGE, settings, Allowance()))
    then = pod_of(make_job(invocation, IMAGE, settings, Allowance(time=4, memory=2)))

    assert first["containers"][0]["resources"]["limits"] == {
        "cpu": "3",
        "memory": f"{5000 + shm_mb}M",
        "nvidia.com/gpu": "1",
    }
    assert first["nodeSelector"] == {"gpu": "A100"}
    assert first["activeDeadlineSeconds"] == 181 * 60
    assert then["containers"][0]["resources"]["limits"]["memory"] == f"{10_000 + shm_mb}M"
    assert then["activeDeadlineSeconds"] == 4 * 181 * 60


def test_a_site_without_gpus_asks_for_none(invocation: Invocation):
    pod = pod_of(
        make_job(invocation, IMAGE, settle(invocation, gpus=False, gpu_node_selector={"gpu": "A100"}), Allowance())
    )

    assert "nvidia.com/gpu" not in pod["containers"][0]["resources"]["limits"]
    assert "nodeSelector" not in pod


def test_the_name_is_one_that_kubernetes_takes_and_another_run_folder_has_another(invocation: Invocation):
    settings = settle(invocation)
    long = replace(invocation, name=f"lq-{'Study_' * 20}-tiny/1-raw")
    names = {
        make_job(each, IMAGE, settings, Allowance())["metadata"]["name"]
        for each in (invocation, long, replace(long, out=invocation.out.with_name("other")))
    }

    assert len(names) == 3
    assert all(len(name) <= 63 and name.replace("-", "").isalnum() and name == name.lower() for name in names)


def test_a_step_that_was_not_prepared_can_be_planned_only(invocation: Invocation, tmp_path: Path):
    planned = replace(invocation, inputs={"store": tmp_path / "of a step that was not done"})

    with pytest.raises(UsageError, match="folder must be readable"):
        make_job(planned, IMAGE, settle(invocation), Allowance())
    job = make_job(planned, IMAGE, settle(invocation), Allowance(), planned=True)
    assert "/in/store" in [mount["mountPath"] for mount in pod_of(job)["containers"][0]["volumeMounts"]]


def test_thousands_of_links_are_refused(invocation: Invocation, tmp_path: Path):
    (tmp_path / "file").touch()
    (tmp_path / "links").mkdir()
    for number in range(9000):
        (tmp_path / "links" / f"case-{number:05}.nii.gz").symlink_to(tmp_path / "file")

    with pytest.raises(UsageError, match=f"manifest must have at most {MOST_BYTES} bytes, but has"):
        make_job(replace(invocation, inputs={"store": tmp_path / "links"}), IMAGE, settle(invocation), Allowance())


def test_the_innermost_volume_counts_and_links_are_followed(tmp_path: Path):
    (tmp_path / "data" / "mine").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "data" / "mine")
    volumes = (
        Volume(path=str(tmp_path), claim="studies", sub_path="anna"),
        Volume(path=str(tmp_path / "data"), claim="data"),
    )

    assert locate(tmp_path / "link", volumes) == Claimed("data", "mine")
    assert locate(tmp_path / "data", volumes) == Claimed("data", "")
    assert locate(tmp_path / "runs/a", volumes) == Claimed("studies", "anna/runs/a")
    assert locate(tmp_path, volumes) == Claimed("studies", "anna")


def test_settings_come_back_as_they_were(invocation: Invocation):
    settings = settle(invocation, **EVERYTHING)
    settings.write()

    assert read_settings(settings.run) == settings


def job(kind: str = "", reason: str = "", **more: Any) -> dict[str, Any]:
    conditions = [{"type": kind, "status": "True", "reason": reason}] if kind else []
    return {"metadata": {}, "spec": {}, "status": {"conditions": conditions}} | more


def pod(phase: str = "Failed", exit_code: int | None = None, why: str = "", **status: Any) -> dict[str, Any]:
    ended = [{"state": {"terminated": {"exitCode": exit_code, "reason": why}}}] if exit_code is not None else []
    status = {"phase": phase, "containerStatuses": ended, **status}
    return {"metadata": {"creationTimestamp": "1"}, "spec": {"nodeName": "n7"}, "status": status}


@pytest.mark.parametrize(
    ("ended", "pods", "expected"),
    [
        (job(), [pod("Running")], None),
        (job("Complete"), [pod("Succeeded", 0)], End(0, node="n7")),
        (job("Complete"), [], End(0)),
        (job("Failed", "BackoffLimitExceeded"), [pod(exit_code=3)], End(3, None, "exit code 3", "n7")),
        (job("Failed"), [pod(exit_code=137, why="OOMKilled")], End(137, Cause.MEMORY, "it needed more memory than its limit", "n7")),
        (job("Failed"), [pod(exit_code=143, reason="DeadlineExceeded")], End(143, Cause.TIME, "it ran past its time limit", "n7")),
        (job("Failed", "DeadlineExceeded"), [], End(1, Cause.TIME, "it ran past its time limit")),
        (job("Failed"), [pod(reason="Evicted", message="Usage of EmptyDir volume exceeds the limit")],
         End(1, None, "Evicted: Usage of EmptyDir volume exceeds the limit", "n7")),
        (job("Failed"), [pod(exit_code=137, conditions=[{"type": "DisruptionTarget"}])], End(137, Cause.NODE, "its node failed, or it had to make room", "n7")),
        (job("Failed", "BackoffLimitExceeded"), [], End(1, None, "BackoffLimitExceeded")),
    ],
)  # fmt: skip
def test_ends(ended: dict[str, Any], pods: list[dict[str, Any]], expected: End | None):
    assert find_end(ended, pods) == expected


WAITING = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}}
UNSCHEDULED = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes\nare available",
}
UNCLAIMED = {**UNSCHEDULED, "message": 'persistentvolumeclaim "studies" not found'}


@pytest.mark.parametrize(
    ("going_on", "pods", "expected"),
    [
        (job(spec={"suspend": True}), [], Wait("is suspended, as a queue does until there is room")),
        (job(), [], Wait("has no pod yet")),
        (job(), [pod("Pending", conditions=[UNSCHEDULED])], Wait("Unschedulable: 0/3 nodes are available")),
        (job(), [pod("Pending", conditions=[UNCLAIMED])], Wait('Unschedulable: persistentvolumeclaim "studies" not found', is_stuck=True)),
        (job(), [pod("Pending", containerStatuses=[WAITING])], Wait("ImagePullBackOff: Back-off pulling image", is_stuck=True, node="n7")),
        (job(), [pod("Pending")], Wait("starts", node="n7")),
        (job(), [pod("Running")], Wait("runs", node="n7")),
        (job(metadata={"deletionTimestamp": "now"}), [pod("Running")], Wait("is being deleted", node="n7")),
    ],
)  # fmt: skip
def test_waits(going_on: dict[str, Any], pods: list[dict[str, Any]], expected: Wait):
    assert describe_wait(going_on, pods) == expected
