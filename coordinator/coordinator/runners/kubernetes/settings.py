"""What a run folder keeps for its steps that are Jobs of Kubernetes: the site profile, and how long steps take."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from contract import atomic, statefiles
from contract.records import digest
from coordinator.runners.kubernetes.profile import KubernetesProfile

NAME = "kubernetes"
"""Of the runtime, in plans."""
FOLDER = ".kubernetes"
"""The folder of a run folder that is there once its steps were Jobs of Kubernetes."""
_FILE = "settings.json"


class Settings(NamedTuple):
    """Settings of a run folder.

    Attributes:
        run: the run folder.
        profile: of the site.
        minutes: step -> how long it is estimated to take.
    """

    run: Path
    profile: KubernetesProfile
    minutes: Mapping[str, float]

    @property
    def run_id(self) -> str:
        """What the Jobs of this run folder have in common, and those of no other."""
        return digest([str(self.run.resolve())])[:12]

    def write(self) -> None:
        """Note the settings in the run folder, for steps, which are programs of their own."""
        (self.run / FOLDER).mkdir(parents=True, exist_ok=True)
        content = {"profile": self.profile.model_dump(mode="json"), "minutes": dict(self.minutes)}
        atomic.write_json(self.run / FOLDER / _FILE, content)


def read_settings(run: Path) -> Settings:
    """The settings of a run folder.

    Raises:
        UsageError: there are none, or they are damaged.
    """

    def parse(content: bytes) -> Settings:
        settings = statefiles.parse_mapping(content)
        minutes = {str(step): float(value) for step, value in settings["minutes"].items()}
        return Settings(run, KubernetesProfile.model_validate_json(json.dumps(settings["profile"])), minutes)

    return statefiles.require(run / FOLDER / _FILE, parse, "`coordinator run STUDY --place kubernetes` writes it again")
