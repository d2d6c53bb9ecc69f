"""The progress of `coordinator run`: live on a terminal; elsewhere one line for each finished step."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from contract import statefiles
from contract.progress import PROGRESS
from coordinator.engine.events import EVENTS, Event, EventReader, step_of
from coordinator.engine.snakemake import KILLED
from coordinator.study import steps
from coordinator.study.steps import Plan, Step


@dataclass(slots=True)
class Display:
    """Follows the events of a run.

    Attributes:
        run: the run folder.
        plan: of the study.
        total: steps to do in this run.
        console: where to show it.
        done: steps done so far.
    """

    run: Path
    plan: Plan
    total: int
    console: Console
    done: int = 0
    _events: EventReader | None = None
    _started: dict[str, float] = field(default_factory=dict)
    _ids: dict[object, str] = field(default_factory=dict)
    _live: Live | None = None

    def __enter__(self) -> "Display":
        """Start at the end of the events of earlier runs."""
        self._events = EventReader(self.run / EVENTS)
        self._events.skip()
        if self.console.is_terminal:
            self._live = Live(self._table(), console=self.console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.stop()

    def update(self) -> None:
        """Read new events and show what has changed."""
        for event in self._events.read() if self._events else ():
            self._handle(event)
        if self._live is not None:
            self._live.update(self._table())

    def _handle(self, event: Event) -> None:
        job = event.get("jobid", event.get("job_id"))
        match event["event"]:
            case "job_info" if step := step_of(event):
                self._ids[job] = step
                self._started[step] = event["time"]
            case "job_finished" if job in self._ids:
                self.done += 1
                self._print_step(self._ids[job], event["time"], "")
            case "job_error" if job in self._ids:
                reason = steps.read_failure(self.run, self._ids[job])
                self._print_step(self._ids[job], event["time"], f"failed: {reason}" if reason else f"failed: {KILLED}")

    def _print_step(self, step: str, now: float, problem: str) -> None:
        seconds = now - self._started.pop(step, now)
        style = "red" if problem else ""
        mark = "✗" if problem else "✓"
        line = (
            f"[{self.done}/{self.total}] {mark} {step} {_format_duration(seconds)}{'  ' + problem if problem else ''}"
        )
        self.console.print(Text(line, style=style), soft_wrap=True)

    def _table(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        for step_id, start in self._started.items():
            table.add_row(*self._row(self.plan.step(step_id), time.time() - start))
        bar = ProgressBar(total=max(self.total, 1), completed=self.done, width=40)
        return Group(table, Text(f"{self.done} of {self.total} steps"), bar)

    def _row(self, step: Step, seconds: float) -> tuple[RenderableType, ...]:
        done, total, failed = self._read_progress(step)
        left = f"{_format_duration(seconds / done * (total - done))} left" if done and total else ""
        count = f"{done}/{total}" if total else ""
        return (
            Text(step.id), ProgressBar(total=max(total, 1), completed=done, width=20), Text(count),
            Text(_format_duration(seconds), style="dim"), Text(left),
            Text(f"{failed} failed" if failed else "", style="red"),
        )  # fmt: skip

    def _read_progress(self, step: Step) -> tuple[int, int, int]:
        """Cases done, of how many, and failed."""
        file = steps.part_folder(self.run, step) / "out" / step.dataset / step.label_version / PROGRESS
        counts = statefiles.read(file, _parse_progress, say=lambda _: None)  # it is being written all the time
        return counts or (0, step.cases if step.kind == "tool" else 0, 0)


def _parse_progress(content: bytes) -> tuple[int, int, int]:
    record = statefiles.parse_mapping(content)
    return int(record["done"]), int(record["total"]), int(record["failed"])


def _format_duration(seconds: float) -> str:
    """Seconds as hours, minutes and seconds, such as "2 min 5 s"; 0 s where the clock was set back meanwhile."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
