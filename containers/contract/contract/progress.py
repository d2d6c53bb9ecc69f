"""How far a run is: a bar on a terminal, one line a case otherwise; and a small file that a coordinator can follow."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from contract.atomic import naming

PROGRESS = ".progress.json"
"""Overwritten at each advance, and hidden: it is no result."""


def log_line(line: str) -> None:
    """Write a line to the log, which is standard error."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


@dataclass(slots=True)
class Progress:
    """Counts cases, epochs or whatever a run does, and shows the count.

    Attributes:
        folder: where `.progress.json` goes.
        check_stop: raises if SIGTERM came; called at each advance.
    """

    folder: Path
    check_stop: Callable[[], None] = lambda: None
    _total: int = 0
    _done: int = 0
    _failed: int = 0
    _bar: "tqdm[Any] | None" = field(default=None, repr=False)

    def begin(self, total: int, what: str, done: int = 0) -> None:
        """Start counting.

        Args:
            total: number of cases, epochs or whatever is counted.
            what: the word before the bar.
            done: how many were done by an earlier run.
        """
        self._total, self._done, self._failed = total, done, 0
        if sys.stderr.isatty():
            self._bar = tqdm(total=total, initial=done, desc=what, dynamic_ncols=True)
        self._write()

    def advance(self, name: str, outcome: str, *, failed: bool = False) -> None:
        """Count one more that is done, or has failed."""
        self._done += 1
        self._failed += failed
        line = f"[{self._done}/{self._total}] {name}: {outcome}"
        if self._bar is None:
            log_line(line)
        else:
            self._bar.update()
            self._bar.set_postfix_str(f"{name}: {outcome}"[:60])
            if failed:
                self._bar.write(line, file=sys.stderr)
        self._write()
        self.check_stop()

    def end(self, summary: str) -> None:
        """Stop counting."""
        if self._bar is not None:
            self._bar.close()
        log_line(summary)
        (self.folder / PROGRESS).unlink(missing_ok=True)

    def _write(self) -> None:
        record = {"done": self._done, "total": self._total, "failed": self._failed}
        with naming(self.folder / PROGRESS):
            (self.folder / PROGRESS).write_text(json.dumps(record), encoding="utf-8")
