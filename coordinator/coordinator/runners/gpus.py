"""Which GPUs this machine has, and who may use which.

A GPU is leased by a lock (flock) on a file of its own. The kernel frees the lock when the last process that holds it
is gone, however it went, so nothing has to be cleaned up after a crash. Leases bind the programs of one user: other
users' programs don't see them, nor does a program that doesn't ask.
"""

import fcntl
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contract.errors import UsageError


class Lease(tuple[int, ...]):
    """Indices of leased GPUs, ascending, and the descriptors that hold them.

    A program that may outlive this one, such as a tool's process, is given the descriptors, so that its GPUs stay
    leased as long as it lives.
    """

    files: tuple[int, ...] = ()


def gpu_count() -> int:
    """Number of GPUs that may be used."""
    return len(host_gpus())


def host_gpus() -> tuple[int, ...]:
    """Indices of the GPUs that may be used, in the order of `nvidia-smi`, which is that of the PCI bus.

    $COORDINATOR_GPUS (`0,1`; empty for none) stands in for `nvidia-smi -L`; of these, only what CUDA_VISIBLE_DEVICES
    lists counts, as a batch system may have set it.

    Raises:
        UsageError: one of the variables can't be understood.
    """
    uuids = _listed_gpus()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return tuple(sorted(uuids))
    return tuple(sorted(_visible(visible, uuids)))


@contextmanager
def lease(count: int, poll_s: float = 0.5) -> Iterator[Lease]:
    """Hold GPUs for the length of a block; waits until so many are free.

    Args:
        count: how many; 0 gives an empty lease at once.
        poll_s: seconds between two tries.

    Raises:
        UsageError: this machine has fewer.
    """
    gpus = host_gpus()
    if count > len(gpus):
        raise UsageError(
            f"{count} GPUs are needed, but this machine has {len(gpus)} to use; run on another machine, "
            "or set COORDINATOR_GPUS or CUDA_VISIBLE_DEVICES if that is wrong"
        )
    taken = _try(count, gpus)
    while taken is None:
        time.sleep(poll_s)
        taken = _try(count, gpus)
    try:
        yield taken
    finally:
        _let_go(taken.files)


def _try(count: int, gpus: tuple[int, ...]) -> Lease | None:
    """Take so many, or none: who holds one and waits for another could wait for ever."""
    held: dict[int, int] = {}
    for gpu in gpus:
        if len(held) == count:
            break
        descriptor = _locked(_folder() / f"gpu-{gpu}.lock")
        if descriptor is not None:
            held[gpu] = descriptor
    if len(held) < count:
        _let_go(tuple(held.values()))
        return None
    leased = Lease(held)
    leased.files = tuple(held.values())
    return leased


def _locked(file: Path) -> int | None:
    """Lock a file and return its descriptor, or None where another holds it."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    os.utime(descriptor)  # what cleans old files out of the temporary folder goes by their age
    return descriptor


def _let_go(descriptors: tuple[int, ...]) -> None:
    """Close, rather than unlock: a tool that inherited a descriptor and still lives keeps its GPU."""
    for descriptor in descriptors:
        os.close(descriptor)


def _folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"label-quality-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise UsageError(f"{folder}: must belong to uid {os.getuid()}, but belongs to {folder.stat().st_uid}")
    return folder


def _listed_gpus() -> dict[int, str]:
    """Index -> UUID; the UUID is empty where the user listed the indices."""
    said = os.environ.get("COORDINATOR_GPUS")
    if said is not None:
        return dict.fromkeys(_indices("COORDINATOR_GPUS", said), "")
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    return {int(index): uuid for index, uuid in re.findall(r"^GPU (\d+): .*\(UUID: (\S+)\)", done.stdout, re.MULTILINE)}


def _visible(text: str, uuids: dict[int, str]) -> set[int]:
    """What CUDA_VISIBLE_DEVICES lets through; as in CUDA, what follows an impossible entry counts for nothing."""
    found: set[int] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        matching = {
            i for i, uuid in uuids.items() if part == str(i) or (part.startswith("GPU-") and uuid.startswith(part))
        }
        if not matching:
            break
        found |= matching
    return found


def _indices(variable: str, text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() for part in parts):
        raise UsageError(f"{variable} must list indices such as 0,1, but it is {text!r}")
    return [int(part) for part in parts]
