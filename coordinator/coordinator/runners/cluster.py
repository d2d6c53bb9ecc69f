"""What is the same on every kind of cluster: how much a job may use, and what it gets after it had too little."""

from enum import Enum
from typing import NamedTuple

from pydantic import Field

from contract.yamlfiles import Strict

MOST_TIME = 8
"""The longest time limit, as a multiple of the first one."""
MOST_MEMORY = 2
MOST_RESTARTS = 20
"""How often a step is submitted again because its node failed or another job took its place."""


class Cause(Enum):
    """Why a job ended before its step was done."""

    TIME = "its time limit"
    MEMORY = "its memory"
    NODE = "its node failed, or another job took its place"


class Allowance(NamedTuple):
    """How much more a job may use than was planned, after earlier ones had too little.

    Attributes:
        time: factor of the time limit.
        memory: factor of the memory.
        restarts: how often the step was submitted again for no fault of its own, as when its node failed.
    """

    time: int = 1
    memory: int = 1
    restarts: int = 0

    def after(self, cause: Cause) -> "Allowance | None":
        """What the next job gets; None where another one would not help."""
        if cause is Cause.TIME and self.time < MOST_TIME:
            return self._replace(time=self.time * 2)
        if cause is Cause.MEMORY and self.memory < MOST_MEMORY:
            return self._replace(memory=self.memory * 2)
        if cause is Cause.NODE and self.restarts < MOST_RESTARTS:
            return self._replace(restarts=self.restarts + 1)
        return None

    def text(self, fingerprint: str) -> str:
        """What a job says of itself, so that it can be taken over: the step's fingerprint and its allowance."""
        return " ".join(map(str, (fingerprint, *self)))


def parse_allowance(text: str) -> tuple[str, Allowance]:
    """The fingerprint and the allowance of a job, by what it says of itself; empty for a job of somebody else."""
    words = text.split()
    if len(words) != 1 + len(Allowance._fields) or not all(word.isdecimal() for word in words[1:]):
        return "", Allowance()
    return words[0], Allowance(*map(int, words[1:]))


class ClusterProfile(Strict):
    """What a site says of the jobs of any cluster."""

    gpus: bool = Field(default=True, description="whether steps that can use a GPU get one; else they run on CPUs")
    max_jobs: int = Field(default=100, ge=1, le=100_000, description="jobs in the queue at once")
    time_factor: float = Field(default=3.0, ge=1, le=100, description="time limit: the estimate times this")
    min_minutes: int = Field(default=15, ge=1, le=100_000, description="shortest time limit")
    max_minutes: int = Field(default=1440, ge=1, le=1_000_000, description="longest time limit that the site allows")
    memory_factor: float = Field(default=1.25, ge=1, le=10, description="memory: what the plan says times this")
    max_memory_mb: int | None = Field(default=None, ge=100, description="most memory that a job asks for")
    poll_seconds: float = Field(default=30, ge=0.1, le=3600, description="longest time between two looks at the queue")
    latency_seconds: float = Field(
        default=90, ge=0, le=3600, description="how long a file that a node wrote may take to be seen here"
    )

    def limit_minutes(self, estimate: float, allowance: Allowance) -> int:
        """The time limit of a job, in minutes, by how many it is estimated to take."""
        planned = max(self.min_minutes, round(estimate * self.time_factor) + 1)
        return min(self.max_minutes, min(self.max_minutes, planned) * allowance.time)

    def limit_memory_mb(self, planned: int, allowance: Allowance) -> int:
        """The memory of a job in MB, by how much its step is planned to need."""
        wanted = round(planned * self.memory_factor) * allowance.memory
        return min(wanted, self.max_memory_mb or wanted)
