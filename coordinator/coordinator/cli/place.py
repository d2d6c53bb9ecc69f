"""Where the steps of a study run, by the command line, the study file and the site profile."""

import os
from typing import TYPE_CHECKING

from contract.errors import UsageError
from coordinator.engine.places import Place, ThisMachine
from coordinator.runners import gpus
from coordinator.study.file import Study
from coordinator.study.steps import Plan

if TYPE_CHECKING:
    from coordinator.engine.kubernetes import Kubernetes
    from coordinator.engine.slurm.place import Slurm

PLACES = ("local", "slurm", "kubernetes")


def choose_place(study: Study, plan: Plan, requested: str | None, cores: int | None = None) -> Place:
    """Where the steps of a study run.

    Args:
        study: the study.
        plan: all its steps.
        requested: local, slurm or kubernetes; None for the study file's.
        cores: CPU cores to use at once on this machine; None for the study file's, or all.

    Raises:
        UsageError: the site profile of a cluster is wrong.
    """
    settings = study.content.run
    place = requested or settings.place
    if place == "slurm":
        return choose_slurm(study, plan)
    cores = cores or settings.cores or os.cpu_count() or 1
    if place == "kubernetes":
        return choose_kubernetes(study, plan, cores)
    return ThisMachine(cores, _count_gpus(settings.gpus), settings.retries)


def choose_runtime(study: Study, requested: str | None, place: str | None) -> str:
    """How tools are started: on Kubernetes in one way.

    Args:
        study: the study.
        requested: a runtime of this machine, or auto; None for the study file's.
        place: local, slurm or kubernetes; None for the study file's.

    Raises:
        UsageError: the place is Kubernetes, and a runtime was requested.
    """
    runtime = requested or study.content.run.runtime
    if (place or study.content.run.place) != "kubernetes":
        return runtime
    if runtime != "auto":
        raise UsageError(
            f"runtime {runtime}: is of this machine, or of nodes of Slurm, but the place is kubernetes, which starts "
            "tools in pods; leave out --runtime, and `runtime` under `run` in the study file"
        )
    return "kubernetes"


def choose_slurm(study: Study, plan: Plan) -> "Slurm":
    """Slurm as the site's profile says.

    Raises:
        UsageError: the profile is wrong.
    """
    from coordinator.engine.site import find_profile
    from coordinator.engine.slurm.place import Slurm
    from coordinator.study.cost import estimate_minutes

    profile, file = find_profile(study.file)
    return Slurm(profile.slurm, estimate_minutes(study, plan), study.content.run.retries, file)


def choose_kubernetes(study: Study, plan: Plan, cores: int = 1) -> "Kubernetes":
    """Kubernetes as the site's profile says.

    Raises:
        UsageError: the profile is wrong.
    """
    from coordinator.engine.kubernetes import Kubernetes
    from coordinator.engine.site import find_profile
    from coordinator.study.cost import estimate_minutes

    profile, file = find_profile(study.file)
    return Kubernetes(profile.kubernetes, estimate_minutes(study, plan), cores, study.content.run.retries, file)


def _count_gpus(gpus_setting: str | int | tuple[int, ...]) -> int:
    """How many GPUs steps may use at once."""
    present = len(gpus.list_gpus())
    if gpus_setting == "all":
        return present
    allowed = gpus_setting if isinstance(gpus_setting, int) else len(gpus_setting)
    return min(int(allowed), present)
