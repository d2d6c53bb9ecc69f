"""Turns SIGTERM into an exception, so that a runner can stop its tool; and stops it."""

import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from contract.errors import Stopped

GRACE_S = 30
"""Seconds between SIGTERM and SIGKILL for a tool, in every runtime."""


@contextmanager
def raise_on_sigterm() -> Iterator[None]:
    """Make SIGTERM raise `Stopped` in this block, so that a runner can stop its tool before it ends.

    Python handles signals only in the main thread; in other threads this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _raise_stopped)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def wait_or_stop(process: "subprocess.Popen[bytes]") -> int:
    """Wait for a tool and return its exit code as a shell gives it; if this program must stop, stop the tool first."""
    try:
        code = process.wait()
    except BaseException:
        process.terminate()
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise
    return code if code >= 0 else 128 - code


def _raise_stopped(signum: int, frame: FrameType | None) -> None:
    raise Stopped
