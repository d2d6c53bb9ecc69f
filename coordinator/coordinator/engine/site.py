"""The site profile: what is different from one cluster to the next, so that a study and our code hold nothing of it."""

import os
from pathlib import Path

from contract.errors import UsageError
from contract.yamlfiles import Strict, load
from coordinator.engine.slurm.profile import SlurmProfile
from coordinator.runners.kubernetes.profile import KubernetesProfile

FILE = "site.yaml"
ENVIRONMENT = "COORDINATOR_SITE"


class SiteProfile(Strict):
    """All that a site's file says; a section for each kind of place."""

    slurm: SlurmProfile = SlurmProfile()
    kubernetes: KubernetesProfile = KubernetesProfile()


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
