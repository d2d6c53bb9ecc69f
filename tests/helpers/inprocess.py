"""The command line in this process, so that a hundred calls cost little."""

import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator.cli.main import main


@dataclass(frozen=True)
class Ended:
    """How a call of the command line ended."""

    code: int
    out: str
    err: str


def call_coordinator(capfd: pytest.CaptureFixture[str], *arguments: str | Path) -> Ended:
    """Run the command line; what is no exit is raised, and so is a bug."""
    names = ("SIGTERM", "SIGHUP")
    handlers = [signal.getsignal(getattr(signal, name)) for name in names]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("stdout", "stderr"):
            patch.setattr(sys, name, getattr(sys, name))
        patch.setattr(sys, "argv", ["coordinator", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for name, handler in zip(names, handlers, strict=True):
                signal.signal(getattr(signal, name), handler)
    written = capfd.readouterr()
    return Ended(code, written.out, written.err)
