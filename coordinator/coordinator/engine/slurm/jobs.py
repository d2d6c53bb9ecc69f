"""The jobs of a run folder: each step has one at a time, which is found again by its name.

    look at the queue ─► a live job of the step's name and fingerprint? take it over : write its script, sbatch

A submission may be cut off at any moment, or be answered too late: then the queue is asked before anything is submitted
again. sbatch inherits a lock, so that whoever comes after a killed coordinator looks at the queue when it has ended.
A long step is shared out (`shards`): an array job goes before its own job, which waits for it.
"""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from contract import atomic, statefiles
from contract.errors import UsageError
from coordinator.engine.locks import hold_lock
from coordinator.engine.places import CLUSTER_FOLDER
from coordinator.engine.shards import can_share
from coordinator.engine.slurm import queue
from coordinator.engine.slurm.outcomes import Judgement, Outcome, judge
from coordinator.engine.slurm.profile import SlurmProfile
from coordinator.engine.slurm.queue import FullError, Job, NoAnswerError
from coordinator.engine.slurm.script import SHARDS, JobRequest, name_prefix, render_script
from coordinator.runners.cluster import MOST_RESTARTS, Allowance, parse_allowance
from coordinator.study import steps
from coordinator.study.steps import Plan, Step

LOCK = "submit.lock"
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 60.0
"""Between two attempts to get an answer."""


@dataclass(slots=True)
class StepJob:
    """The job of a step.

    Attributes:
        step: that it does.
        id: of the job.
        allowance: what it was given beyond the plan.
        ended_at: when it was first seen to have ended; None while it is live.
    """

    step: Step
    id: str
    allowance: Allowance
    ended_at: float | None = None


@dataclass(slots=True)
class RunJobs:
    """Submits, finds and judges the jobs of a run folder.

    Attributes:
        run: the run folder.
        plan: of the study.
        profile: of the site.
        minutes: step -> how long it is estimated to take.
        lock: descriptor of the lock that sbatch inherits.
    """

    run: Path
    plan: Plan
    profile: SlurmProfile
    minutes: Mapping[str, float]
    lock: int

    def start(self, step: Step, after: Iterable[str] = ()) -> StepJob:
        """Take over the live job of a step, or submit one; waits for as long as Slurm gives no answer.

        Raises:
            UsageError: Slurm refuses it.
        """
        own, shards = plan_jobs(self.run, self.plan.study, step, self.minutes.get(step.id, 0.0), self.profile)
        if (found := self._find_live(own)) is not None:
            _say(f"{step.id}: job {found.id} goes on")
            return found
        before = [f"afterok:{':'.join(jobs)}"] if (jobs := list(after)) else []
        if array := self._find_live(shards) or (self._submit(shards, before) if shards.shards > 1 else None):
            before = [*before, f"afterany:{array.id.partition('_')[0]}"]
        return self._submit(own, before)

    def look(self) -> dict[str, Job] | None:
        """Id -> job, for all jobs of this run folder in the queue; None where there is no answer now."""
        try:
            jobs = queue.list_jobs(name_prefix(self.run, self.plan.study))
        except NoAnswerError as error:
            _say(f"squeue gave no answer and is asked again: {error}")
            return None
        return {job.id: job for job in jobs}

    def judge(self, job: StepJob, seen: Mapping[str, Job]) -> Judgement:
        """What to do with a step, after a look at the queue; where it says so, it was submitted again."""
        if steps.is_done(self.run, job.step):  # whatever Slurm says: after a restart it may hold it to run for a while
            return Judgement(Outcome.DONE)
        current = self._recognise(job, seen)
        if current is not None and current.is_live:
            job.ended_at = None
            self._release_held(job, seen)
            return Judgement(Outcome.WAIT)
        if job.ended_at is None:
            job.ended_at = time.monotonic()
        waited_enough = time.monotonic() - job.ended_at >= self.profile.latency_seconds
        state = current.state if current else queue.find_ended(job.id) or ""
        judgement = judge(self.run, job.step, state, job.allowance, waited_enough=waited_enough)
        if judgement.outcome is Outcome.AGAIN:
            _say(f"{job.step.id}: job {job.id} ended as {state}; submitted again with {judgement.allowance}")
            minutes = self.minutes.get(job.step.id, 0.0)
            fresh = self._submit(JobRequest(self.run, self.plan.study, job.step, minutes, judgement.allowance))
            job.id, job.allowance, job.ended_at = fresh.id, fresh.allowance, None
            return Judgement(Outcome.WAIT)
        if judgement.reason:
            log = JobRequest(self.run, self.plan.study, job.step, 0).log
            self.record_failure(job.step, f"{judgement.reason} (job {job.id}, log: {log})")
        return judgement

    def record_failure(self, step: Step, reason: str) -> None:
        """Note why a step failed, where it could not do so itself."""
        file = steps.failure_file(self.run, step.id)
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_text(file, f"{reason}\n")

    def _recognise(self, job: StepJob, seen: Mapping[str, Job]) -> Job | None:
        """A step's job in the queue; a slurmctld that lost its state gives old ids to new jobs."""
        current = seen.get(job.id)
        name = JobRequest(self.run, self.plan.study, job.step, 0).name
        return current if current is not None and current.name == name else None

    def _release_held(self, job: StepJob, seen: Mapping[str, Job]) -> None:
        """Let a job, or a shard, run that Slurm could not start on a node, as after a restart of slurmctld."""
        name = JobRequest(self.run, self.plan.study, job.step, 0).name
        for held in (each for each in seen.values() if each.name in {name, name + SHARDS} and each.failed_to_launch):
            if job.allowance.restarts >= MOST_RESTARTS:
                return
            job.allowance = job.allowance._replace(restarts=job.allowance.restarts + 1)
            _say(f"{job.step.id}: Slurm could not start job {held.id} on a node and held it; it is released")
            try:
                queue.release(held.id)
            except NoAnswerError as error:
                _say(f"scontrol gave no answer and is asked again: {error}")

    def _find_live(self, request: JobRequest) -> StepJob | None:
        pauses = _pauses()
        while (seen := self.look()) is None:
            time.sleep(next(pauses))
        for job in seen.values():
            fingerprint, allowance = parse_allowance(job.comment)
            if job.name == request.name and job.is_live and fingerprint == request.step.fingerprint:
                return StepJob(request.step, job.id, allowance)
        return None

    def _submit(self, request: JobRequest, before: Iterable[str] = ()) -> StepJob:
        """Submit a job; of a step it begins only when no other of its name is there, and would then find it done."""
        step, dependencies = request.step, [*([] if request.shards else ["singleton"]), *before]
        script = write_script(request, self.profile)
        statefiles.remove(steps.failure_file(self.run, step.id))
        for pause in _pauses():
            try:
                return StepJob(step, queue.submit(self.run, script, self.lock, dependencies), request.allowance)
            except FullError as error:
                _say(f"{step.id}: waits for room in the queue: {error}")
            except NoAnswerError as error:
                _say(f"{step.id}: sbatch gave no answer and is asked again: {error}")
            time.sleep(pause)
            if (found := self._find_live(request)) is not None:
                return found
        raise AssertionError  # the pauses have no end


@contextmanager
def open_jobs(run: Path, plan: Plan, profile: SlurmProfile, minutes: Mapping[str, float]) -> Iterator[RunJobs]:
    """Hold the right to submit jobs of a run folder; a submission that outlived its coordinator ends first."""
    with hold_lock(
        run / CLUSTER_FOLDER / LOCK, on_busy=lambda holder: _say(f"waiting for a submission ({holder}) to end")
    ) as lock:
        yield RunJobs(run, plan, profile, minutes, lock)


def plan_jobs(
    run: Path, study: str, step: Step, minutes: float, profile: SlurmProfile
) -> tuple[JobRequest, JobRequest]:
    """What is asked of Slurm for a step: its own job, and an array job of its shards; one shard: it is not shared out.

    Args:
        run: the run folder.
        study: its name.
        step: to do.
        minutes: how long it is estimated to take.
        profile: of the site.
    """
    count = profile.count_shards(minutes, step.cases) if can_share(run, step) else 1
    shard = JobRequest(run, study, step, minutes / count, shards=count)
    return shard._replace(shards=0), shard


def write_script(request: JobRequest, profile: SlurmProfile) -> Path:
    """Write the job script of a step, and make the folder of its log; returns it relative to the run folder."""
    for file in (request.file, request.log):
        (request.run / file).parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(request.run / request.file, render_script(request, profile))
    return request.file


def find_live_jobs(run: Path, plan: Plan) -> dict[str, list[Job]]:
    """The live jobs of a run folder: "current" of steps as this plan has them, and "stale", which are of another plan.

    Raises:
        NoAnswerError: the queue can't be read now.
    """
    prefix = name_prefix(run, plan.study)
    fingerprints = {step.id: step.fingerprint for step in plan.steps}
    found: dict[str, list[Job]] = {"current": [], "stale": []}
    for job in queue.list_jobs(prefix):
        if job.is_live:
            fingerprint, _ = parse_allowance(job.comment)
            is_current = fingerprints.get(job.name.removeprefix(prefix).removesuffix(SHARDS)) == fingerprint
            found["current" if is_current else "stale"].append(job)
    return found


def refuse_stale_jobs(run: Path, plan: Plan) -> None:
    """Refuse to change a plan while jobs of another plan of the run folder are in the queue.

    Raises:
        UsageError: there are some, or the queue can't be read.
    """
    try:
        stale = find_live_jobs(run, plan)["stale"]
    except NoAnswerError as error:
        raise UsageError(f"{run}: its jobs must be known before its plan is changed, but: {error}") from None
    if stale:
        shown = [f"{job.id} ({job.name.partition('.')[2]})" for job in stale[:5]]
        names = ", ".join([*shown, *(["…"] if len(stale) > len(shown) else [])])
        raise UsageError(
            f"{run}: {len(stale)} jobs of the study as it was are still in the queue: {names}; "
            "wait for them, or take them out with `coordinator cancel`, and run it again"
        )


def refuse_live_jobs(run: Path, plan: Plan) -> None:
    """Refuse to do steps elsewhere while jobs of a run folder are in the queue of the cluster that this machine is of.

    Raises:
        UsageError: there are some, or the queue can't be read.
    """
    if not queue.is_here():
        return
    try:
        live = [job for group in find_live_jobs(run, plan).values() for job in group]
    except NoAnswerError as error:
        raise UsageError(f"{run}: its Slurm jobs must be known before its steps are done here, but: {error}") from None
    if live:
        raise UsageError(
            f"{run}: {len(live)} Slurm jobs do its steps already; collect them with --place slurm, or take them out "
            "of the queue with `coordinator cancel`"
        )


def _pauses() -> Iterator[float]:
    pause = FIRST_PAUSE_S
    while True:
        yield pause
        pause = min(LONGEST_PAUSE_S, pause * 1.5)


def _say(line: str) -> None:
    """Tell what a user should know; under the workflow engine this goes to `snakemake.log`."""
    sys.stderr.write(f"slurm: {line}\n")
