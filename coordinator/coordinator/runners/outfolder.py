"""What a tool may leave in its folder of results: files and folders, and nothing that leads out of it."""

import os
import stat
from pathlib import Path


def find_irregular(folder: Path) -> Path | None:
    """Find an entry below a folder that is neither a file nor a folder: a link, a pipe, a socket.

    No link is followed: one to /etc in a container would be one to /etc of this machine.

    Returns:
        The first such entry; None where there is none.

    Raises:
        OSError: a folder can't be listed.
    """
    for parent, folders, files in os.walk(folder, onerror=_refuse):
        for name in (*folders, *files):
            path = Path(parent, name)
            mode = path.lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                return path
    return None


def _refuse(error: OSError) -> None:
    raise error
