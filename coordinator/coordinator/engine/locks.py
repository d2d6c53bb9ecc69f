"""File locks that the kernel frees when their last holder ends.

A lock may outlive the process that took it: a tool inherits the lock of its step. And a number written into a file may
by now be another process's. So who holds a lock is asked of the kernel, which knows who has the file open.

Few imports: every step takes its lock here.
"""

import errno
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from contract.filelocks import lock

_PROCESSES = Path("/proc")


@contextmanager
def hold_lock(file: Path, on_busy: Callable[[str], None]) -> Iterator[int]:
    """Hold a lock; yields its descriptor, which a child process may inherit.

    Args:
        file: made where it is missing.
        on_busy: called with words for the holder, such as "process 12", when another process holds the lock; then the
            lock is waited for, unless this raises.

    Raises:
        UsageError: the file system has no locks.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.is_dir():
        file.rmdir()  # an empty folder in the file's place; one that holds something is refused
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o644)
    try:
        if not lock(descriptor, file, wait=False):
            on_busy(_describe_holder(file, descriptor))
            lock(descriptor, file, wait=True)
        with suppress(OSError):  # for people only: a full disk is told by what needs the room
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} on {os.uname().nodename}".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def is_held(file: Path) -> bool:
    """Whether a process holds the lock of a file."""
    try:
        descriptor = _open_to_ask(file)
    except FileNotFoundError:
        return False
    try:
        return not lock(descriptor, file, wait=False)
    finally:
        os.close(descriptor)


def _open_to_ask(file: Path) -> int:
    """Open a lock's file for writing, which NFS wants; where that is not allowed, for reading."""
    try:
        return os.open(file, os.O_RDWR | os.O_NONBLOCK)
    except PermissionError:
        return os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return os.open(file, os.O_RDONLY | os.O_NONBLOCK)


def stop_users(files: Iterable[Path]) -> None:
    """Send SIGTERM to every process that holds one of the locks or waits for one.

    Its children that have inherited the lock are left to it: a step stops its tool.
    """
    keys = _identify(files)
    users = _find_users(keys)
    for process in users:
        if _parent(process) not in users:
            with suppress(ProcessLookupError, PermissionError):
                _terminate(process, keys)


def find_users(file: Path) -> set[int]:
    """The processes of this machine that have a lock's file open, but this one; other users' are not seen."""
    return _find_users(_identify([file]))


Keys = frozenset[tuple[int, int]]
"""Device and inode of files."""


def _identify(files: Iterable[Path]) -> Keys:
    keys = set()
    for file in files:
        with suppress(FileNotFoundError):
            status = file.stat()
            keys.add((status.st_dev, status.st_ino))
    return frozenset(keys)


def _find_users(keys: Keys) -> set[int]:
    processes = (int(folder.name) for folder in _PROCESSES.iterdir() if folder.name.isdigit())
    return {process for process in processes if process != os.getpid() and _has_open(process, keys)}


def _has_open(process: int, keys: Keys) -> bool:
    """Whether a process has one of these files open."""
    try:
        for descriptor in (_PROCESSES / str(process) / "fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                status = descriptor.stat()
                if (status.st_dev, status.st_ino) in keys:
                    return True
    except (PermissionError, FileNotFoundError, ProcessLookupError):
        pass  # another user's, or ended meanwhile
    return False


def _terminate(process: int, keys: Keys) -> None:
    """Send SIGTERM to a process, if its number is still that of a user of a lock."""
    try:
        handle = os.pidfd_open(process)  # means this process, also when its number is given to another one
    except OSError as error:
        if error.errno != errno.ENOSYS:  # kernels before 5.3
            raise
        if _has_open(process, keys):
            os.kill(process, signal.SIGTERM)
        return
    try:
        if _has_open(process, keys):
            signal.pidfd_send_signal(handle, signal.SIGTERM)
    finally:
        os.close(handle)


def _parent(process: int) -> int | None:
    try:
        text = (_PROCESSES / str(process) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None  # it has ended
    return int(text.rpartition(")")[2].split()[1])


def _describe_holder(file: Path, descriptor: int) -> str:
    """Words for who holds a lock: the process that wrote its number, if it has the file open, else whoever has."""
    users = find_users(file)
    noted = os.pread(descriptor, 200, 0).decode("utf-8", errors="replace")
    number, _, place = noted.partition(" on ")
    if place == os.uname().nodename and number.isdigit() and int(number) in users:
        return f"process {number}"
    if users:
        return f"process {' or '.join(map(str, sorted(users)))}"
    return f"process {noted}" if number.isdigit() and place else "a process that is not seen from here"
