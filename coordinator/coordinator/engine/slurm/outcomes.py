"""What the end of a job means for its step: done, failed, or submitted again with more time or memory."""

from enum import Enum
from pathlib import Path
from typing import NamedTuple

from coordinator.runners.cluster import Allowance, Cause
from coordinator.study import steps
from coordinator.study.steps import Step

CAUSES = {
    "TIMEOUT": Cause.TIME, "DEADLINE": Cause.TIME, "OUT_OF_MEMORY": Cause.MEMORY,
    "NODE_FAIL": Cause.NODE, "PREEMPTED": Cause.NODE, "BOOT_FAIL": Cause.NODE, "REVOKED": Cause.NODE,
}  # fmt: skip
"""State in which a job ended -> why."""


class Outcome(Enum):
    """What to do now."""

    WAIT = "wait"
    DONE = "done"
    FAILED = "failed"
    AGAIN = "again"


class Judgement(NamedTuple):
    """What to do with a step whose job has ended.

    Attributes:
        outcome: what to do.
        reason: why it failed, for people.
        allowance: of the next job, where it is submitted again.
    """

    outcome: Outcome
    reason: str = ""
    allowance: Allowance = Allowance()


def judge(run: Path, step: Step, state: str, allowance: Allowance, *, waited_enough: bool) -> Judgement:
    """Judge a step that is not done, and whose job is no longer live.

    Args:
        run: the run folder.
        step: that the job did.
        state: how it ended, as Slurm calls it; empty where nobody knows any more.
        allowance: what it was given.
        waited_enough: whether files that a node wrote would be seen here by now.
    """
    cause = CAUSES.get(state)
    if cause is not None and (more := allowance.after(cause)) is not None:
        return Judgement(Outcome.AGAIN, allowance=more)
    if cause is Cause.TIME:
        return Judgement(Outcome.FAILED, f"Slurm ended its job with {state}, also with {allowance.time} times the time")
    if cause is Cause.MEMORY:
        return Judgement(Outcome.FAILED, f"its job needed more memory, also with {allowance.memory} times as much")
    if state == "CANCELLED":
        return Judgement(Outcome.FAILED, "its job was cancelled, by somebody or because a step that it needs failed")
    if steps.read_failure(run, step.id):
        return Judgement(Outcome.FAILED)
    if not waited_enough:
        return Judgement(Outcome.WAIT)
    known = f"as {state}" if state else "and has left the queue"
    return Judgement(Outcome.FAILED, f"its job ended {known}, without a result and without a reason")
