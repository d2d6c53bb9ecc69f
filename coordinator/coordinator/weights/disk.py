"""Refuses to write what does not fit on the disk."""

import shutil
from pathlib import Path

from contract.errors import CaseError


def refuse_full_disk(folder: Path, size: int) -> None:
    """Refuse to write `size` bytes into a folder whose disk has less room.

    Raises:
        CaseError: there is not enough room.
    """
    free = shutil.disk_usage(folder).free
    if size > free:
        raise CaseError(f"{folder}: must have {size / 1e6:.1f} MB of room, but has {free / 1e6:.1f} MB; make room")
