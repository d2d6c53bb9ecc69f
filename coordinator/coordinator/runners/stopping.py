"""How a runner hears that it must stop."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from contract.errors import Stopped

GRACE_S = 30
"""Seconds that a tool has between SIGTERM and SIGKILL, in every runtime."""


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Let SIGTERM raise `Stopped` in this block, so that a runner can stop its tool before it goes.

    Python handles signals in the main thread only; elsewhere nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(signum: int, frame: FrameType | None) -> None:
    raise Stopped
