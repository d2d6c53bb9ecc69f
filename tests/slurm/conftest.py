"""A real Slurm for tests; without one they are skipped, but fail in CI."""

import shutil
import subprocess
from collections.abc import Iterator

import pytest
from helpers.needs import skip_or_fail
from helpers.slurm import resume_nodes

from coordinator.engine.slurm import queue


@pytest.fixture(scope="session", autouse=True)
def slurm() -> None:
    """A cluster that answers."""
    if shutil.which("sinfo") is None or subprocess.run(["sinfo"], capture_output=True, check=False).returncode:
        skip_or_fail("no Slurm answers (sinfo)")


@pytest.fixture(autouse=True)
def nodes() -> Iterator[None]:
    """Nodes that take jobs, and none of a test's jobs afterwards."""
    resume_nodes()
    yield
    queue.cancel(job.id for job in queue.list_jobs("lq-toy-") if job.is_live)
    resume_nodes()
