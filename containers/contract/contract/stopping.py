"""Stopping a tool on SIGTERM, wherever it is."""

import signal
from dataclasses import dataclass
from types import FrameType

from contract.errors import Stopped


@dataclass(slots=True)
class Stopper:
    """Raises `Stopped` on SIGTERM; and remembers it, since Python drops what is raised inside a `__del__`."""

    requested: bool = False

    def install(self) -> None:
        """Handle SIGTERM from now on."""
        signal.signal(signal.SIGTERM, self._stop)

    def check(self) -> None:
        """Raise `Stopped` if the signal came before and was dropped."""
        if self.requested:
            raise Stopped

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        self.requested = True
        raise Stopped
