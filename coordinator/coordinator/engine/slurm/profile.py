"""The site profile: what is different from one cluster to the next, so that a study and our code hold nothing of it."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from contract.errors import UsageError
from contract.yamlfiles import Items, Line, Strict, load

FILE = "site.yaml"
ENVIRONMENT = "COORDINATOR_SITE"


def _check_gres(text: str) -> str:
    if "{gpus}" not in text:
        raise ValueError(f"must hold {{gpus}}, in whose place the number comes, but it is {text!r}")
    return text


class SlurmProfile(Strict):
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
    gpus: bool = Field(default=True, description="whether steps that can use a GPU get one; else they run on CPUs")
    options: Items[Line] = Field(default=(), description="further options of sbatch, such as --exclude=n7")
    modules: Items[Line] = Field(default=(), description="modules that a job loads, such as apptainer/1.4")
    environment: dict[str, str] = Field(default={}, description="variables that a job sets")
    scratch: Line | None = Field(
        default=None, description="folder on a node's own disk for temporary files, such as /scratch/$USER"
    )
    template: Line | None = Field(
        default=None, description="file of a job script of your own; `coordinator cluster template` prints ours"
    )
    max_jobs: int = Field(default=100, ge=1, le=100_000, description="jobs in the queue at once")
    time_factor: float = Field(default=3.0, ge=1, le=100, description="time limit: the estimate times this")
    min_minutes: int = Field(default=15, ge=1, le=100_000, description="shortest time limit")
    max_minutes: int = Field(default=1440, ge=1, le=1_000_000, description="longest time limit that the site allows")
    memory_factor: float = Field(default=1.25, ge=1, le=10, description="memory: what the plan says times this")
    max_memory_mb: int | None = Field(default=None, ge=100, description="most memory that a job asks for")
    poll_seconds: float = Field(default=30, ge=1, le=3600, description="longest time between two looks at the queue")
    latency_seconds: float = Field(
        default=90, ge=0, le=3600, description="how long a file that a node wrote may take to be seen here"
    )


class SiteProfile(Strict):
    """All that a site's file says; a section for each kind of place."""

    slurm: SlurmProfile = SlurmProfile()


def find_profile(study: Path) -> tuple[SiteProfile, Path | None]:
    """Read the site profile: $COORDINATOR_SITE, else beside the study, else the user's own.

    Args:
        study: the study file.

    Returns:
        The profile, and the file that it is from; our defaults and None where there is no file.

    Raises:
        UsageError: the file is wrong, or the variable names none.
    """
    from_user = os.environ.get(ENVIRONMENT)
    if from_user and not Path(from_user).is_file():
        raise UsageError(f"{ENVIRONMENT}: must name the file of a site profile, but {from_user} is none")
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "label-quality"
    candidates = [Path(from_user)] if from_user else [study.parent / FILE, config / FILE]
    for file in candidates:
        if file.is_file():
            return load(file, SiteProfile), file.resolve()
    return SiteProfile(), None
