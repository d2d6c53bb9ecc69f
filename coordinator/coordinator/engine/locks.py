"""File locks that the kernel frees when their holder dies; the file holds the number of the process that holds it.

Few imports: every step takes its lock here.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def hold_lock(file: Path, on_busy: Callable[[str], None]) -> Iterator[int]:
    """Hold a lock; yields its descriptor, which a child process may inherit.

    Args:
        file: made where it is missing.
        on_busy: called with the holder's process number when another process holds the lock; then the lock is waited
            for, unless this raises.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_busy(os.pread(descriptor, 32, 0).decode() or "?")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def lock_holder(file: Path) -> int | None:
    """The process that holds a lock; None when nobody does."""
    with file.open("r+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = stream.read().strip()
            return int(text) if text.isdigit() else None
    return None
