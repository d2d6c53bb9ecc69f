"""Talking to Slurm: each question is a program of a few seconds, which may be slow, or fail while slurmctld restarts.

Nothing here is kept in memory: what is in the queue is asked of the queue.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from contract.errors import UsageError
from coordinator.runners.environment import child_environment

PATIENCE_S = 120
"""A question that takes longer counts as one without an answer."""
SEPARATOR = "|"
LIVE = frozenset({
    "PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESIZING",
    "RESV_DEL_HOLD", "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT", "STOPPED", "SUSPENDED",
})  # fmt: skip
"""States in which a job may still do its step."""
_BUSY = (
    "QOSMaxSubmitJob",
    "AssocMaxSubmitJob",
    "AssocGrpSubmitJobs",
    "QOSGrpSubmitJobs",
    "Job violates accounting/QOS",
)
"""What sbatch says where a user has as many jobs in the queue as the site allows: there will be room later."""


class NoAnswerError(Exception):
    """Slurm did not answer: whatever was asked may have happened or not."""


class FullError(Exception):
    """The user may not have another job in the queue now."""


class Job(NamedTuple):
    """A job as the queue shows it.

    Attributes:
        id: of Slurm; "17_3" for a task of an array.
        name: ours begin with a prefix that no other run folder has.
        state: as Slurm calls it, such as PENDING.
        reason: why it waits, or why it ended.
        node: where it runs; empty where it does not.
        comment: what it says of itself.
    """

    id: str
    name: str
    state: str
    reason: str
    node: str
    comment: str

    @property
    def is_live(self) -> bool:
        """Whether it may still do its step."""
        return self.state in LIVE

    @property
    def failed_to_launch(self) -> bool:
        """Whether Slurm could not start it on a node and holds it: it waits for ever until somebody releases it."""
        return self.is_live and self.reason.lower().replace("_", " ") == "launch failed requeued held"


def is_here() -> bool:
    """Whether this machine is one of a Slurm cluster."""
    return shutil.which("squeue") is not None


def require_slurm() -> None:
    """Refuse a machine from which no job can be submitted.

    Raises:
        UsageError: Slurm's programs are missing.
    """
    missing = [name for name in ("sbatch", "squeue", "scancel", "scontrol") if shutil.which(name) is None]
    if missing:
        raise UsageError(
            f"{', '.join(missing)}: Slurm's programs must be on the path, but are not; run this on a login node of the "
            "cluster, or use --place local"
        )


def list_jobs(prefix: str) -> list[Job]:
    """The caller's jobs whose name begins so, with those that ended a while ago.

    Raises:
        NoAnswerError: the queue can't be read now.
    """
    fields = SEPARATOR.join(("%i", "%T", "%r", "%N", "%k", "%j"))
    output = _ask("squeue", "--noheader", "--me", "--states=all", "--array", f"--format={fields}")
    jobs = []
    for line in output.splitlines():
        job_id, state, reason, node, comment, name = line.split(SEPARATOR, 5)
        if name.startswith(prefix):
            jobs.append(Job(job_id, name, state, reason, node, comment))
    return jobs


def list_waiting() -> list[str]:
    """The ids of all jobs of all users that wait, those of the highest priority first.

    Raises:
        NoAnswerError: the queue can't be read now.
    """
    return _ask("squeue", "--noheader", "--states=PENDING", "--sort=-p,i", "--format=%i").split()


def submit(run: Path, script: Path, lock: int, dependencies: Iterable[str] = ()) -> str:
    """Submit a job script and return the job's id.

    Args:
        run: the run folder, in which the job works.
        script: relative to the run folder.
        lock: descriptor of a lock that sbatch holds until it has ended, also where this program is killed meanwhile.
        dependencies: what it waits for, in Slurm's words: "singleton", "afterok:17".

    Raises:
        NoAnswerError: it may be in the queue, or not.
        FullError: there is no room for it now.
        UsageError: Slurm refuses it; the message is Slurm's.
    """
    words = ",".join(dependencies)
    options = ["--parsable", "--kill-on-invalid-dep=yes", *([f"--dependency={words}"] if words else [])]
    try:
        output = _ask("sbatch", *options, str(script), folder=run, held=(lock,))
    except NoAnswerError as error:
        reason = str(error)
        if any(text in reason for text in _BUSY):
            raise FullError(reason) from None
        if "sbatch: error: Batch job submission failed: " in reason and not _is_transient(reason):
            raise UsageError(f"{run / script}: Slurm must take it, but: {reason}; correct the site profile") from None
        raise
    return output.strip().partition(";")[0]


def cancel(jobs: Iterable[str]) -> None:
    """Cancel jobs.

    Raises:
        NoAnswerError: they may go on.
    """
    if ids := list(jobs):
        _ask("scancel", *ids)


def release(job_id: str) -> None:
    """Let a job that is held run.

    Raises:
        NoAnswerError: it may be held still.
    """
    _ask("scontrol", "release", job_id)


def find_ended(job_id: str) -> str | None:
    """The state of a job that has left the queue, by the accounting; None where the site keeps none, or not of it."""
    if not _has_accounting():
        return None
    try:
        output = _ask("sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={job_id}", "--format=State")
    except NoAnswerError:
        return None
    states = output.split()
    return states[0] if states else None


@cache
def _has_accounting() -> bool:
    """Whether the site keeps accounts: `sacct` is there without, too."""
    try:
        _ask("sacct", "--noheader", "--allocations", "--starttime=now")
    except NoAnswerError:
        return False
    return True


def _is_transient(reason: str) -> bool:
    """Whether sbatch failed for want of an answer, not because Slurm refused the job."""
    texts = (
        "Unable to contact",
        "Socket timed out",
        "Connection refused",
        "Transport endpoint",
        "Zero Bytes",
        "timed out",
    )
    return any(text.lower() in reason.lower() for text in texts)


def _ask(program: str, *arguments: str, folder: Path | None = None, held: tuple[int, ...] = ()) -> str:
    """Run one of Slurm's programs and return what it printed.

    Raises:
        NoAnswerError: it failed, is missing, or took too long.
    """
    try:
        result = subprocess.run(
            [program, *arguments], cwd=folder, capture_output=True, text=True, errors="replace", check=False,
            timeout=PATIENCE_S, stdin=subprocess.DEVNULL, pass_fds=held,
            env=child_environment(folder or Path(tempfile.gettempdir())),  # a job inherits it, and must not differ
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise NoAnswerError(f"{program}: no answer within {PATIENCE_S} s") from None
    except OSError as error:
        raise NoAnswerError(f"{program}: {error.strerror}") from None
    if result.returncode:
        raise NoAnswerError(" ".join(result.stderr.split()) or f"{program}: ended with exit code {result.returncode}")
    return result.stdout
