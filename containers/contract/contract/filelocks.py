"""File locks (flock), which the kernel frees when the last process that holds one has ended."""

import errno
import fcntl
from pathlib import Path

from contract.errors import UsageError

_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})


def lock(descriptor: int, file: Path, *, wait: bool) -> bool:
    """Take the lock of an open file.

    Args:
        descriptor: of the open file.
        file: its path, for messages.
        wait: whether to wait while another process holds it.

    Returns:
        Whether it was taken.

    Raises:
        UsageError: the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            error.filename = str(file)
            raise
        raise UsageError(
            f"{file.parent}: must lie on a file system with file locks (flock), but: {error.strerror}; "
            "use a folder on another one, or mount it with locks"
        ) from None
    return True
