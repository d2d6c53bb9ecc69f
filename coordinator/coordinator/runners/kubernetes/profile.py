"""What the site profile says of a Kubernetes cluster."""

from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from contract.yamlfiles import Items, Line, Strict
from coordinator.runners.cluster import ClusterProfile


def _check_absolute(text: str) -> str:
    if not text.startswith("/") or ".." in PurePosixPath(text).parts:
        raise ValueError(f"must be the absolute path of a folder here, but it is {text!r}")
    return text


def _check_relative(text: str) -> str:
    if text.startswith("/") or ".." in PurePosixPath(text).parts:
        raise ValueError(f"must be a path below the top of the volume, such as users/anna, but it is {text!r}")
    return text


class Volume(Strict):
    """A folder here that is a volume claim there."""

    path: Annotated[Line, AfterValidator(_check_absolute)] = Field(description="folder here, such as /mnt/studies")
    claim: Line = Field(description="the persistent volume claim of the namespace that is the same folder")
    sub_path: Annotated[str, AfterValidator(_check_relative)] = Field(
        default="", description="the folder of the claim that it is; its top when not given"
    )


class KubernetesProfile(ClusterProfile):
    """How tools become Jobs of a Kubernetes cluster."""

    context: Line | None = Field(default=None, description="of the kubeconfig; its current one when not given")
    namespace: Line | None = Field(default=None, description="of the Jobs; the context's when not given")
    volumes: Items[Volume] = Field(default=(), description="which folders here are which volume claims there")
    labels: dict[str, str] = Field(
        default={}, description="of Jobs and pods, such as kueue.x-k8s.io/queue-name: my-queue"
    )
    annotations: dict[str, str] = Field(default={}, description="of Jobs and pods")
    node_selector: dict[str, str] = Field(default={}, description="labels that nodes must have")
    gpu_node_selector: dict[str, str] = Field(
        default={}, description="more of them for GPU Jobs: keep those of a study on one kind of GPU"
    )
    tolerations: Items[dict[str, Any]] = Field(default=(), description="taints of nodes that Jobs may run on")
    image_pull_secrets: Items[Line] = Field(default=(), description="names of Secrets for the registry")
    service_account: Line | None = Field(default=None, description="of pods; they get no token of it")
    priority_class: Line | None = None
    runtime_class: Line | None = Field(default=None, description="such as nvidia")
    gpu_resource: Line = Field(default="nvidia.com/gpu", description="what a GPU is called in limits")
    run_as_caller: bool = Field(
        default=True, description="whether pods have your user and group id; if not, the namespace must choose them"
    )
    start_minutes: float = Field(
        default=10,
        gt=0,
        le=10_000,
        description="how long an image may fail to be pulled, or a claim not be there, before the step fails",
    )
    keep_seconds: int = Field(
        default=86_400, ge=60, le=10_000_000, description="how long an ended Job stays to be seen"
    )
