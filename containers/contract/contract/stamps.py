"""What a file system says of a file: while it stays the same, the file is taken to hold the same bytes.

Size and time alone don't see a file that was replaced by another one of equal size and time, as `cp --preserve` or an
unpacked archive can leave it. The time of its last change (ctime), which no program can set, and the inode do. Few
imports: each step of a study takes stamps.
"""

import os
import stat
from pathlib import Path
from typing import Any

Stamp = list[int]
"""Size in bytes, time of the last writing and of the last change in ns, inode."""


def take_stamp(path: Path) -> Stamp | None:
    """The stamp of a regular file; None where there is none, or none that can be asked: a pipe would never end."""
    try:
        status = os.stat(path)  # noqa: PTH116 - a third faster, and there are thousands
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def written(stamp: Stamp | None) -> Stamp | None:
    """A stamp without the time of the last change, which a link or another owner also sets."""
    return None if stamp is None else [stamp[0], stamp[1], stamp[3]]


def mark_file(path: Path) -> list[Any]:
    """sha256 and stamp of a file; None each where it cannot be read."""
    from contract.records import file_sha256

    stamp = take_stamp(path)  # before reading: a file that changes meanwhile has another one afterwards
    if stamp is None:
        return [None, None]
    try:
        return [file_sha256(path), stamp]
    except OSError:
        return [None, None]
