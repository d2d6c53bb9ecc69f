"""Lists this machine's GPUs and leases them.

A lease is a lock (flock) on a file of the GPU. The kernel frees the lock when the last process that holds it has ended
in any way, so nothing has to be cleaned up after a crash. Leases only bind the coordinators of one user: other users'
programs, and programs that don't lease, use the GPUs regardless.
"""

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contract.errors import UsageError
from contract.filelocks import lock


class Lease(tuple[int, ...]):
    """Indices of leased GPUs, ascending, and the file descriptors that hold the lease.

    A process that may outlive this one, such as a tool, must inherit the descriptors, so that its GPUs stay leased
    while it runs.
    """

    files: tuple[int, ...] = ()


def list_gpus() -> tuple[int, ...]:
    """List the indices of the GPUs that may be used, in the order of `nvidia-smi`, which is that of the PCI bus.

    $COORDINATOR_GPUS (`0,1`; empty for none) replaces `nvidia-smi -L`. If CUDA_VISIBLE_DEVICES is set, for example by a
    batch system, only the GPUs in it count.

    Raises:
        UsageError: one of the variables is invalid.
    """
    uuids = _read_gpus()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return tuple(sorted(uuids))
    return tuple(sorted(_select_visible(visible, uuids)))


@contextmanager
def lease(count: int, poll_s: float = 0.5) -> Iterator[Lease]:
    """Lease GPUs for the length of a block, waiting until enough of them are free.

    Args:
        count: number of GPUs; 0 gives an empty lease at once.
        poll_s: seconds between two attempts.

    Raises:
        UsageError: this machine has fewer GPUs.
    """
    gpus = list_gpus()
    if count > len(gpus):
        raise UsageError(
            f"{count} GPUs are needed, but this machine has {len(gpus)} to use; run on another machine, "
            "or set COORDINATOR_GPUS or CUDA_VISIBLE_DEVICES if that is wrong"
        )
    leased = _try_lease(count, gpus)
    while leased is None:
        time.sleep(poll_s)
        leased = _try_lease(count, gpus)
    try:
        yield leased
    finally:
        _release(leased.files)


def _try_lease(count: int, gpus: tuple[int, ...]) -> Lease | None:
    """Lease all `count` GPUs or none: two programs that each hold one and wait for another could wait for ever."""
    held: dict[int, int] = {}
    for gpu in gpus:
        if len(held) == count:
            break
        descriptor = _try_lock(_lock_folder() / f"gpu-{gpu}.lock")
        if descriptor is not None:
            held[gpu] = descriptor
    if len(held) < count:
        _release(tuple(held.values()))
        return None
    leased = Lease(held)
    leased.files = tuple(held.values())
    return leased


def _try_lock(file: Path) -> int | None:
    """Lock a file and return its descriptor, or None if another process holds it."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        is_ours = lock(descriptor, file, wait=False)
    except BaseException:
        os.close(descriptor)
        raise
    if not is_ours:
        os.close(descriptor)
        return None
    os.utime(descriptor)  # so that cleaners of the temporary folder don't remove it as an old file
    return descriptor


def _release(descriptors: tuple[int, ...]) -> None:
    """Close the descriptors without unlocking: a tool that inherited one and still runs keeps its GPU."""
    for descriptor in descriptors:
        os.close(descriptor)


def _lock_folder() -> Path:
    """The folder of leases; a job of a batch system has its own, since in each the first GPU may be number 0."""
    job = f"-job-{os.environ['SLURM_JOB_ID']}" if os.environ.get("SLURM_JOB_ID") else ""
    folder = Path(tempfile.gettempdir()) / f"label-quality-gpus-{os.getuid()}{job}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise UsageError(f"{folder}: must belong to uid {os.getuid()}, but belongs to {folder.stat().st_uid}")
    return folder


def _read_gpus() -> dict[int, str]:
    """Read index -> UUID of the machine's GPUs; the UUIDs are empty where the user listed the indices."""
    from_user = os.environ.get("COORDINATOR_GPUS")
    if from_user is not None:
        return dict.fromkeys(_parse_indices("COORDINATOR_GPUS", from_user), "")
    try:
        result = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    return {
        int(index): uuid for index, uuid in re.findall(r"^GPU (\d+): .*\(UUID: (\S+)\)", result.stdout, re.MULTILINE)
    }


def _select_visible(text: str, uuids: dict[int, str]) -> set[int]:
    """Select the GPUs that CUDA_VISIBLE_DEVICES lists; as in CUDA, the list ends before the first invalid entry."""
    selected: set[int] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        matching = {
            i for i, uuid in uuids.items() if part == str(i) or (part.startswith("GPU-") and uuid.startswith(part))
        }
        if not matching:
            break
        selected |= matching
    return selected


def _parse_indices(variable: str, text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() for part in parts):
        raise UsageError(f"{variable} must list indices such as 0,1, but it is {text!r}")
    return [int(part) for part in parts]
