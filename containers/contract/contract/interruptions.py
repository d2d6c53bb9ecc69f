"""Interruptions that Python drops: what a signal's handler raises inside a `__del__`, or in a callback of fork."""

import signal
import sys
from types import FrameType

from contract.errors import Stopped

AGAIN_S = 0.1
"""Seconds until a dropped interruption is raised again: long after the callback has ended."""


def raise_dropped_again() -> None:
    """From now on, raise again what SIGTERM and SIGINT raised where Python only prints and forgets it."""
    sys.unraisablehook = _raise_again


def _raise_again(dropped: "sys.UnraisableHookArgs") -> None:
    interruption = dropped.exc_type
    if not issubclass(interruption, (Stopped, KeyboardInterrupt)):
        sys.__unraisablehook__(dropped)
        return

    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise interruption

    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
