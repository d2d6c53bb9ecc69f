"""What the site profile says of a Slurm cluster."""

import math
from typing import Annotated

from pydantic import AfterValidator, Field

from contract.yamlfiles import Items, Line
from coordinator.runners.cluster import ClusterProfile


def _check_gres(text: str) -> str:
    if "{gpus}" not in text:
        raise ValueError(f"must hold {{gpus}}, in whose place the number comes, but it is {text!r}")
    return text


class SlurmProfile(ClusterProfile):
    """How jobs are submitted on a Slurm cluster."""

    partition: Line | None = Field(default=None, description="of all jobs; the cluster's default when not given")
    gpu_partition: Line | None = Field(default=None, description="of jobs with GPUs; `partition` when not given")
    account: Line | None = None
    qos: Line | None = None
    constraint: Line | None = Field(
        default=None, description="features of nodes, such as a100: keep all GPU jobs of a study on one kind of GPU"
    )
    gres: Annotated[Line, AfterValidator(_check_gres)] = Field(
        default="gpu:{gpus}", description="how GPUs are asked for, such as gpu:a100:{gpus}"
    )
    shard_minutes: int = Field(
        default=240, ge=1, description="a step that makes label maps and is estimated to take longer is shared out"
    )
    max_shards: int = Field(default=16, ge=1, le=1000, description="most jobs that share a step; 1 shares none")
    options: Items[Line] = Field(default=(), description="further options of sbatch, such as --exclude=n7")
    modules: Items[Line] = Field(default=(), description="modules that a job loads, such as apptainer/1.4")
    environment: dict[str, str] = Field(default={}, description="variables that a job sets")
    scratch: Line | None = Field(
        default=None, description="folder on a node's own disk for temporary files, such as /scratch/$USER"
    )
    template: Line | None = Field(
        default=None, description="file of a job script of your own; `coordinator cluster template` prints ours"
    )

    def count_shards(self, minutes: float, cases: int) -> int:
        """How many jobs share a step of so many cases and estimated minutes; 1: it is not shared out."""
        return max(1, min(self.max_shards, cases, math.ceil(minutes / self.shard_minutes)))
