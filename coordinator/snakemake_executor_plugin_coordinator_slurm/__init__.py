"""The coordinator's executor plugin for Snakemake: each step is a job of a Slurm cluster (`coordinator.engine.slurm`).

Snakemake finds it by its name: `--executor coordinator-slurm`. It runs in the run folder. Nothing of Snakemake runs on
a node, and nothing is kept here that a killed coordinator would take with it.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from pathlib import Path

from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface
from snakemake_interface_executor_plugins.settings import CommonSettings

from contract.errors import UsageError
from coordinator.engine.slurm.jobs import StepJob, open_jobs
from coordinator.engine.slurm.outcomes import Outcome
from coordinator.engine.slurm.place import read_settings
from coordinator.study import steps

SHORTEST_POLL_S = 1.0
SLOWER = 1.3
"""Where nothing happens, the next look at the queue comes this much later."""

common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=False,
    job_deploy_sources=False,
    pass_default_storage_provider_args=False,
    pass_default_resources_args=False,
    pass_envvar_declarations_to_cmd=False,
    auto_deploy_default_storage_provider=False,
)


class Executor(RemoteExecutor):  # type: ignore[misc]
    """Submits steps as jobs, and tells Snakemake of their ends."""

    _pause_s = SHORTEST_POLL_S  # Snakemake's thread asks for it before `__post_init__`

    def __post_init__(self) -> None:
        """Take the right to submit; a submission that outlived an earlier coordinator ends first."""
        run = Path.cwd()
        self._plan = steps.read_plan(run)
        self._steps = {step.id: step for step in self._plan.steps}
        self._profile, minutes = read_settings(run)
        self._open = ExitStack()
        self._jobs = self._open.enter_context(open_jobs(run, self._plan, self._profile, minutes))

    def run_job(self, job: JobExecutorInterface) -> None:
        """Submit a step, or take over its job."""
        step = self._steps[job.wildcards.id]
        info = SubmittedJobInfo(job)
        try:
            started = self._jobs.start(step)
        except UsageError as error:
            self._jobs.record_failure(step, str(error))
            self.report_job_error(info)
            return
        info.external_jobid, info.aux = started.id, {"job": started}
        self._pause_s = SHORTEST_POLL_S
        self.report_job_submission(info)

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Look at the queue once, and report each step that has ended; those that go on are given back."""
        if not active_jobs:
            return
        seen = await asyncio.to_thread(self._jobs.look)
        self._pause_s = min(self._profile.poll_seconds, self._pause_s * SLOWER)
        for info in active_jobs:
            if seen is None:
                yield info
                continue
            job: StepJob = (info.aux or {})["job"]
            match self._jobs.judge(job, seen).outcome:
                case Outcome.DONE:
                    self.report_job_success(info)
                case Outcome.FAILED:
                    self.report_job_error(info)
                case _:
                    yield info
                    continue
            self._pause_s = SHORTEST_POLL_S

    async def sleep(self) -> None:
        """Wait until the next look: soon where something has just happened."""
        await asyncio.sleep(self._pause_s)

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        """Leave them: the coordinator, which started this program, decides whether jobs go on."""

    def shutdown(self) -> None:
        """Let the next coordinator submit."""
        super().shutdown()
        self._open.close()
