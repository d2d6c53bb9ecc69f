"""Where steps run: on this machine, or as jobs of a cluster. A study's results do not depend on it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from coordinator.engine.locks import stop_users
from coordinator.runners.kubernetes.settings import FOLDER as KUBERNETES_FOLDER
from coordinator.study.steps import Plan, state_files

CLUSTER_FOLDER = ".slurm"
"""The folder of a run folder that is there once its steps were jobs of a cluster."""


class Place(Protocol):
    """What the workflow engine must know of a place."""

    def prepare(self, run: Path, plan: Plan) -> None:
        """Make ready for the steps of a plan, before it is written.

        Raises:
            UsageError: steps can't run here.
        """

    def describe(self) -> str:
        """Where steps run, as the end of a clause; empty for this machine."""

    def engine_options(self) -> list[str]:
        """The options of Snakemake that are different here."""

    def stop(self, run: Path, *, asked: bool) -> None:
        """Stop the steps that run, or leave them, since the coordinator ends.

        Args:
            run: the run folder.
            asked: whether somebody interrupted it (Ctrl-C); otherwise it got a signal, as when a terminal closes.
        """


@dataclass(frozen=True, slots=True)
class ThisMachine:
    """Steps are processes of this machine.

    Attributes:
        cores: CPU cores at once.
        gpus: GPUs at once.
        retries: how often a failed step is tried again.
    """

    cores: int
    gpus: int
    retries: int

    def prepare(self, run: Path, plan: Plan) -> None:
        """Refuse steps that are a cluster's, for as long as it has jobs of this run folder.

        Raises:
            UsageError: it has some, or can't say.
        """
        if (run / CLUSTER_FOLDER).is_dir():
            from coordinator.engine.slurm.jobs import refuse_live_jobs

            refuse_live_jobs(run, plan)
        if (run / KUBERNETES_FOLDER).is_dir():
            from coordinator.engine.kubernetes import refuse_live_jobs as refuse_pods

            refuse_pods(run)

    def describe(self) -> str:
        """Nothing that needs to be said."""
        return ""

    def engine_options(self) -> list[str]:
        """Steps share the machine's cores, memory and GPUs."""
        limits = ["--cores", str(self.cores), "--resources", f"gpu={self.gpus}", f"mem_mb={memory_mb()}"]
        return [*limits, "--retries", str(self.retries), "--latency-wait", "0"]

    def stop(self, run: Path, *, asked: bool) -> None:
        """Send SIGTERM to everything that does a step of a run folder, or waits to do it."""
        stop_users(state_files(run, ".lock"))


def memory_mb() -> int:
    """Memory of this machine; a step that needs more runs alone."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000
