"""What the operating system refuses, as one sentence: the path, what must hold, what came, what to do."""

import errno
import os
from pathlib import Path

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""There is no room to write."""
_DENIED = frozenset({errno.EACCES, errno.EPERM})
_TORCH_WITHOUT_MEMORY = ("OutOfMemoryError", "out of memory", "not enough memory", "can't allocate memory")
"""In torch's words, which raises a RuntimeError where a CPU's memory is used up, and its own kind for a GPU's."""
_SCARCE = frozenset({errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN})
_FLAKY = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT})


def describe_os_error(error: OSError) -> str | None:
    """Describe what a user can mend; None for what is a mistake of a program, which names no file."""
    where = _where(error)
    reason = error.strerror or str(error)
    if error.errno in FULL:
        return f"{where or 'disk'}: must have room, but: {reason}; free some space and run this again: it goes on"
    if error.errno in _SCARCE:
        return f"{where or 'this machine'}: must have enough to go on, but: {reason}; run this again with less at once"
    if where is None and error.errno == errno.ENOENT and "temporary directory" in reason:  # Python's own words
        return f"TMPDIR: must name a folder that can be written to, but: {reason}; set it to one"
    if where is None:
        return None
    match error.errno:
        case errno.EROFS:
            return f"{where}: must be writable, but: {reason}; write elsewhere, or mount it for writing"
        case number if number in _DENIED:
            return (
                f"{where}: must be open to uid {os.geteuid()}, but: {reason}{_owner(Path(where))}; "
                "give it to that user, or run as its owner"
            )
        case errno.EEXIST | errno.ENOTDIR:
            return f"{where}: must be a folder, or lie in one, but: {reason}; move away the file that is in its place"
        case errno.EISDIR | errno.ENOTEMPTY:
            return f"{where}: must be a file, but: {reason}; move away the folder that is in its place"
        case _:
            return f"{where}: must be usable, but: {reason}; check the path and its disk, then run this again"


def is_machines_fault(error: BaseException) -> bool:
    """Whether the machine was the reason, and not what was read: another try, or another machine, may do it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or (isinstance(cause, OSError) and cause.errno in _SCARCE | _FLAKY):
            return True
        if any(words in f"{type(cause).__name__}: {cause}" for words in _TORCH_WITHOUT_MEMORY):
            return True
        cause = cause.__cause__
    return False


def _where(error: OSError) -> str | None:
    """The path that it is about; of a rename the second one."""
    for name in (error.filename2, error.filename):
        if isinstance(name, str | bytes | Path):
            return os.fsdecode(name)
    return None


def _owner(path: Path) -> str:
    """Who owns a path, or the nearest folder above it that can be seen."""
    for place in (path, *path.parents):
        try:
            return f" ({place} belongs to uid {place.stat().st_uid})"
        except OSError:
            continue  # what can't be seen belongs to whoever owns the folder above it
    return ""
