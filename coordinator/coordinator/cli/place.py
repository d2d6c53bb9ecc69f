"""Where the steps of a study run, by the command line, the study file and the site profile."""

import os
from typing import TYPE_CHECKING

from coordinator.engine.places import Place, ThisMachine
from coordinator.runners import gpus
from coordinator.study.file import Study
from coordinator.study.steps import Plan

if TYPE_CHECKING:
    from coordinator.engine.slurm.place import Slurm


def choose_place(study: Study, plan: Plan, requested: str | None, cores: int | None = None) -> Place:
    """Where the steps of a study run.

    Args:
        study: the study.
        plan: all its steps.
        requested: local or slurm; None for the study file's.
        cores: CPU cores to use at once on this machine; None for the study file's, or all.

    Raises:
        UsageError: the site profile of a cluster is wrong.
    """
    settings = study.content.run
    if (requested or settings.place) == "slurm":
        return choose_slurm(study, plan)
    return ThisMachine(cores or settings.cores or os.cpu_count() or 1, _count_gpus(settings.gpus), settings.retries)


def choose_slurm(study: Study, plan: Plan) -> "Slurm":
    """Slurm as the site's profile says.

    Raises:
        UsageError: the profile is wrong.
    """
    from coordinator.engine.slurm.place import Slurm
    from coordinator.engine.slurm.profile import find_profile
    from coordinator.study.cost import estimate_minutes

    profile, file = find_profile(study.file)
    return Slurm(profile.slurm, estimate_minutes(study, plan), study.content.run.retries, file)


def _count_gpus(gpus_setting: str | int | tuple[int, ...]) -> int:
    """How many GPUs steps may use at once."""
    present = len(gpus.list_gpus())
    if gpus_setting == "all":
        return present
    allowed = gpus_setting if isinstance(gpus_setting, int) else len(gpus_setting)
    return min(int(allowed), present)
