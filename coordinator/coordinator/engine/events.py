"""The events of the workflow engine: a JSON line each, appended while it runs, and followed by whoever waits."""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract import statefiles

EVENTS = "events.jsonl"
Event = dict[str, Any]


@dataclass(slots=True)
class EventReader:
    """Reads the events that have come since the last reading.

    Attributes:
        file: of the events.
        offset: bytes that were read.
    """

    file: Path
    offset: int = 0

    def skip(self) -> None:
        """Pass over the events of earlier runs."""
        self.offset = self.file.stat().st_size if self.file.is_file() else 0

    def read(self) -> list[Event]:
        """New events; lines that are none, and one that is still being written, are left out."""
        if not self.file.is_file():
            return []
        if self.file.stat().st_size < self.offset:  # someone cut the file
            self.offset = 0
        with self.file.open("rb") as stream:
            stream.seek(self.offset)
            content = stream.read()
        lines = content[: content.rfind(b"\n") + 1]
        self.offset += len(lines)
        return list(_parse(lines.splitlines()))


def prepare_events(run: Path) -> None:
    """Make sure that events can be appended: what is no file goes, and a line that was cut short ends."""
    file = run / EVENTS
    if not file.is_file():
        statefiles.remove(file)
        return
    with file.open("rb+") as stream:
        stream.seek(0, 2)
        if stream.tell():
            stream.seek(-1, 2)
            if stream.read(1) != b"\n":
                stream.write(b"\n")


def failed_jobs(events: Iterable[Event]) -> set[str]:
    """The ids of steps whose process ended with an error, by the events of one run."""
    ids: dict[object, str] = {}
    failed: set[str] = set()
    for event in events:
        job = event.get("jobid", event.get("job_id"))
        if event["event"] == "job_info" and (step := step_of(event)):
            ids[job] = step
        elif event["event"] == "job_error" and job in ids:
            failed.add(ids[job])
    return failed


def step_of(event: Event) -> str | None:
    """The id of the step that an event of kind `job_info` is about; None for the rule that asks for all steps."""
    wildcards = event.get("wildcards")
    return wildcards.get("id") if isinstance(wildcards, dict) else None


def _parse(lines: Iterable[bytes]) -> Iterable[Event]:
    for line in lines:
        with suppress(*statefiles.DAMAGE):
            event = json.loads(line)
            job = event.get("jobid", event.get("job_id"))
            if (
                isinstance(event["event"], str)
                and isinstance(event["time"], int | float)
                and isinstance(job, int | None)
            ):
                yield event
