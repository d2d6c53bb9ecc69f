"""What the end of a job means for its step: done, failed, or submitted again with more time or memory."""

from enum import Enum
from pathlib import Path
from typing import NamedTuple

from coordinator.engine.slurm.script import Allowance
from coordinator.study import steps
from coordinator.study.steps import Step

MOST_TIME = 8
"""The longest time limit, as a multiple of the first one."""
MOST_MEMORY = 2
MOST_RESTARTS = 20
"""How often a step is submitted again because its node failed or another job took its place."""
NO_FAULT = frozenset({"NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "REVOKED"})
TOO_LONG = frozenset({"TIMEOUT", "DEADLINE"})


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
    more = _allow_more(state, allowance)
    if more is not None:
        return Judgement(Outcome.AGAIN, allowance=more)
    if state in TOO_LONG:
        return Judgement(Outcome.FAILED, f"Slurm ended its job with {state}, also with {allowance.time} times the time")
    if state == "OUT_OF_MEMORY":
        return Judgement(Outcome.FAILED, f"its job needed more memory, also with {allowance.memory} times as much")
    if state == "CANCELLED":
        return Judgement(Outcome.FAILED, "its job was cancelled, by somebody or because a step that it needs failed")
    if steps.read_failure(run, step.id):
        return Judgement(Outcome.FAILED)
    if not waited_enough:
        return Judgement(Outcome.WAIT)
    known = f"as {state}" if state else "and has left the queue"
    return Judgement(Outcome.FAILED, f"its job ended {known}, without a result and without a reason")


def _allow_more(state: str, allowance: Allowance) -> Allowance | None:
    """What the next job gets; None where another one would not help."""
    if state in TOO_LONG and allowance.time < MOST_TIME:
        return allowance._replace(time=allowance.time * 2)
    if state == "OUT_OF_MEMORY" and allowance.memory < MOST_MEMORY:
        return allowance._replace(memory=allowance.memory * 2)
    if state in NO_FAULT and allowance.restarts < MOST_RESTARTS:
        return allowance._replace(restarts=allowance.restarts + 1)
    return None
