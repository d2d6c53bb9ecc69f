"""Slurm as a place of a study: steps are jobs, which go on when the coordinator dies."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contract import atomic, statefiles
from contract.errors import Stopped
from coordinator.engine.places import CLUSTER_FOLDER
from coordinator.engine.slurm import queue
from coordinator.engine.slurm.jobs import find_live_jobs, refuse_stale_jobs
from coordinator.engine.slurm.profile import SlurmProfile
from coordinator.engine.slurm.script import check_template
from coordinator.study.steps import Plan, read_plan

SETTINGS = "settings.json"
"""What the workflow engine, another program, must know: the site profile, and how long steps take."""


@dataclass(frozen=True, slots=True)
class Slurm:
    """Steps are jobs of a Slurm cluster.

    Attributes:
        profile: of the site.
        minutes: step -> how long it is estimated to take.
        retries: how often a failed step is tried again.
        file: of the site profile; None where there is none.
    """

    profile: SlurmProfile
    minutes: Mapping[str, float]
    retries: int
    file: Path | None = None

    def prepare(self, run: Path, plan: Plan) -> None:
        """Note the settings for the workflow engine.

        Raises:
            UsageError: Slurm is not here, or jobs of the study as it was are still in the queue.
        """
        queue.require_slurm()
        check_template(self.profile)
        refuse_stale_jobs(run, plan)
        (run / CLUSTER_FOLDER).mkdir(parents=True, exist_ok=True)
        settings = {"profile": self.profile.model_dump(mode="json"), "minutes": dict(self.minutes)}
        atomic.write_json(run / CLUSTER_FOLDER / SETTINGS, settings)

    def describe(self) -> str:
        """The site profile, which the user may have meant to be another one."""
        return f", as Slurm jobs ({f'site profile {self.file}' if self.file else 'no site profile: the defaults'})"

    def engine_options(self) -> list[str]:
        """Slurm shares out cores, memory and GPUs; here only the number of jobs counts."""
        return [
            "--executor", "coordinator-slurm", "--jobs", str(self.profile.max_jobs), "--retries", str(self.retries),
            "--latency-wait", str(round(self.profile.latency_seconds)),
        ]  # fmt: skip

    def stop(self, run: Path, *, asked: bool) -> None:
        """Take the jobs of a run folder out of the queue where somebody asked for an end; otherwise they go on."""
        if asked and (jobs := cancel_jobs(run, read_plan(run))):
            raise Stopped(f"interrupted; {len(jobs)} jobs were taken out of the queue; the next run goes on from here")


def read_settings(run: Path) -> tuple[SlurmProfile, dict[str, float]]:
    """The settings of a run folder.

    Raises:
        UsageError: there are none, or they are damaged.
    """
    return statefiles.require(
        run / CLUSTER_FOLDER / SETTINGS, _parse_settings, "`coordinator run STUDY` writes it again"
    )


def _parse_settings(content: bytes) -> tuple[SlurmProfile, dict[str, float]]:
    settings = statefiles.parse_mapping(content)
    minutes = {str(step): float(value) for step, value in settings["minutes"].items()}
    return SlurmProfile.model_validate_json(json.dumps(settings["profile"])), minutes


def cancel_jobs(run: Path, plan: Plan) -> list[str]:
    """Take all jobs of a run folder out of the queue; returns their ids.

    Raises:
        Stopped: the queue can't be read, so that some may go on.
    """
    try:
        found = find_live_jobs(run, plan)
        jobs = [job.id for group in found.values() for job in group]
        queue.cancel(jobs)
    except queue.NoAnswerError as error:
        raise Stopped(
            f"{run}: its jobs may go on, since Slurm gives no answer: {error}; `coordinator cancel` ends them"
        ) from None
    return jobs
