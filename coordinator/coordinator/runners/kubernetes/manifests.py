"""A tool's run as a Job of Kubernetes: one pod in the tool's image, as restricted as a Docker container is.

A namespace may cut off the network for the label of our pods (`network_policy`); a Job alone can't. Nor can it bound
the number of processes: that is the kubelet's.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contract.errors import UsageError
from contract.records import digest
from coordinator.runners import Invocation
from coordinator.runners.cluster import Allowance
from coordinator.runners.kubernetes.settings import Settings
from coordinator.runners.kubernetes.volumes import Claimed, locate
from coordinator.runners.sandbox import TMP
from coordinator.runners.stopping import GRACE_S
from coordinator.runners.view import readable_paths, thread_environment

Manifest = dict[str, Any]
PART_OF, PART = "app.kubernetes.io/part-of", "label-quality"
"""The label of all our Jobs and pods, and its value."""
RUN, STEP, SELF, LOG_START = (f"{PART}/{name}" for name in ("run", "step", "self", "log-start"))
"""Label of a run folder's Jobs; annotations: the step's id, its fingerprint and allowance, where its output begins."""
UNRESTRICTED = "the network, unless the namespace cuts it off"
"""What `run.json` says of every run in a pod: from within, nobody knows."""
CONTAINER = "tool"
SHM = "/dev/shm"  # noqa: S108 - inside the container
MOST_BYTES = 1_000_000
"""Of a manifest; etcd takes 1.5 MB."""
_MOST_NAME = 63


def name_job(invocation: Invocation, settings: Settings) -> str:
    """The name of a run's Job: the same for the same step of the same run folder, whoever makes it.

    Raises:
        UsageError: its folder of results is in no volume of the cluster.
    """
    out = _locate(invocation.out, settings)
    readable = re.sub("[^a-z0-9]+", "-", invocation.name.lower()).strip("-")
    return f"{readable[: _MOST_NAME - 13].rstrip('-')}-{digest([invocation.name, *out])[:12]}"


def make_job(
    invocation: Invocation, image: str, settings: Settings, allowance: Allowance, *, planned: bool = False
) -> Manifest:
    """Make the manifest of the Job that runs a tool.

    Args:
        invocation: the run.
        image: of the tool, by digest.
        settings: of the run folder.
        allowance: what it gets beyond the plan.
        planned: whether what it reads may not be there yet.

    Raises:
        UsageError: something that it reads does not exist, or is in no volume of the cluster; or it is too large.
    """
    profile = settings.profile
    labels = {**profile.labels, PART_OF: PART, RUN: settings.run_id}
    annotations = {**profile.annotations, STEP: invocation.step}
    start = invocation.log.stat().st_size if invocation.log.is_file() else 0
    own = {SELF: allowance.text(invocation.fingerprint), LOG_START: str(start)}
    job = {
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name_job(invocation, settings), "labels": labels, "annotations": {**annotations, **own}},
        "spec": {
            "backoffLimit": 0,
            # A pod whose node failed, or that had to make room for another, is replaced and counts as no failure.
            "podFailurePolicy": {
                "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
            },
            "ttlSecondsAfterFinished": profile.keep_seconds,
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": _make_pod(invocation, image, settings, allowance, planned),
            },
        },
    }  # fmt: skip
    if (size := len(json.dumps(job))) > MOST_BYTES:
        raise UsageError(
            f"{invocation.step}: manifest must have at most {MOST_BYTES} bytes, but has {size}, since the pod sees the "
            "files of a folder one by one: where cases are links, or some are set aside; copy them into the folder, or "
            "remove those set aside"
        )
    return job


def network_policy() -> Manifest:
    """A policy that cuts our pods off from the network: for the namespace's administrator, once."""
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": PART},
        "spec": {"podSelector": {"matchLabels": {PART_OF: PART}}, "policyTypes": ["Ingress", "Egress"]},
    }  # fmt: skip


def _make_pod(invocation: Invocation, image: str, settings: Settings, allowance: Allowance, planned: bool) -> Manifest:
    profile, request = settings.profile, invocation.request
    gpus = request.gpus if profile.gpus else 0
    pod: Manifest = {
        "restartPolicy": "Never",
        # Of the pod: that of the Job would count the time in a queue.
        "activeDeadlineSeconds": 60 * profile.limit_minutes(settings.minutes.get(invocation.step, 0.0), allowance),
        "terminationGracePeriodSeconds": GRACE_S,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "shareProcessNamespace": True,  # the pause container collects what children leave, as `docker run --init` does
        "securityContext": {
            "seccompProfile": {"type": "RuntimeDefault"},
            **({"runAsUser": os.getuid(), "runAsGroup": os.getgid()} if profile.run_as_caller else {}),
            **({"runAsNonRoot": True} if os.getuid() or not profile.run_as_caller else {}),
        },
        "nodeSelector": {**profile.node_selector, **(profile.gpu_node_selector if gpus else {})},
        "tolerations": [dict(each) for each in profile.tolerations],
        "imagePullSecrets": [{"name": name} for name in profile.image_pull_secrets],
        "serviceAccountName": profile.service_account,
        "priorityClassName": profile.priority_class,
        "runtimeClassName": profile.runtime_class,
    }
    mounts, volumes = _make_mounts(invocation, settings, planned)
    resources = invocation.tool.manifest.resources
    memory_mb = profile.limit_memory_mb(request.memory_mb, allowance) + resources.shm_mb
    limits = {"cpu": str(request.cpus), "memory": f"{memory_mb}M"}
    container = {
        "name": CONTAINER, "image": image, "args": list(invocation.arguments),
        "env": [{"name": name, "value": value} for name, value in _variables(invocation, image).items()],
        "resources": {"limits": limits | ({profile.gpu_resource: str(gpus)} if gpus else {})},
        "securityContext": {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [*mounts, {"name": "tmp", "mountPath": TMP}, {"name": "shm", "mountPath": SHM}],
    }  # fmt: skip
    temporary = [
        {"name": "tmp", "emptyDir": {"sizeLimit": f"{resources.tmp_mb}M"}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": f"{resources.shm_mb}M"}},
    ]
    given = {key: value for key, value in pod.items() if value not in (None, {}, [])}
    return given | {"containers": [container], "volumes": [*volumes, *temporary]}


def _variables(invocation: Invocation, image: str) -> dict[str, str]:
    own = {"TOOL_IMAGE_ID": image.partition("@")[2], "TOOL_UNRESTRICTED": UNRESTRICTED}
    return thread_environment(invocation) | own


def _make_mounts(invocation: Invocation, settings: Settings, planned: bool) -> tuple[list[Manifest], list[Manifest]]:
    """The mounts of a run, and the volumes that they are parts of."""
    read = {to: _locate(source, settings) for to, source in readable_paths(invocation, planned=planned).items()}
    paths = {**read, "/out": _locate(invocation.out, settings)}
    names: Mapping[str, str] = {
        claim: f"claim-{number}" for number, claim in enumerate(sorted({place.claim for place in paths.values()}))
    }
    mounts = [
        {
            "name": names[place.claim], "mountPath": to, "readOnly": to in read,
            **({"subPath": place.sub_path} if place.sub_path else {}),
        }
        for to, place in paths.items()
    ]  # fmt: skip
    volumes = [{"name": name, "persistentVolumeClaim": {"claimName": claim}} for claim, name in names.items()]
    return mounts, volumes


def _locate(path: Path, settings: Settings) -> Claimed:
    return locate(path, settings.profile.volumes)
