"""The coordinator's logger plugin for Snakemake: it appends each event as a JSON line to the file that `run` follows.

Snakemake finds it by its name: `--logger coordinator --logger-coordinator-events FILE`.
"""

import json
from dataclasses import dataclass, field
from logging import LogRecord
from pathlib import Path
from typing import Optional

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

from contract import statefiles

KINDS = {"run_info", "job_info", "job_started", "job_finished", "job_error", "progress", "error"}
FIELDS = ("jobid", "job_id", "job_ids", "wildcards", "done", "total", "exception")


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):  # type: ignore[misc]
    """Options of the plugin."""

    events: Optional[str] = field(  # noqa: UP045 - Snakemake reads this annotation and knows only this form
        default=None, metadata={"help": "File that events are appended to.", "required": True}
    )


class LogHandler(LogHandlerBase):  # type: ignore[misc]
    """Writes events as JSON lines."""

    writes_to_stream = False
    writes_to_file = True
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    @property
    def baseFilename(self) -> str:
        """The file of the events, under the name that Snakemake asks a file handler for."""
        return str(getattr(self.settings, "events", None))

    def emit(self, record: LogRecord) -> None:
        """Append a record, if it is one of the events."""
        kind = str(getattr(record, "event", None) or "").lower().removeprefix("logevent.")
        if kind not in KINDS or not isinstance(self.settings, LogHandlerSettings) or not self.settings.events:
            return
        content = {name: _to_plain(getattr(record, name)) for name in FIELDS if hasattr(record, name)}
        line = json.dumps({"event": kind, "time": round(record.created, 3), **content})
        file = Path(self.settings.events)
        statefiles.remove_unless_file(file)  # whoever put a pipe in its place would make the whole study wait
        with file.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")


def _to_plain(value: object) -> object:
    """Turn Snakemake's containers into plain data."""
    if isinstance(value, int | float | str) or value is None:
        return value
    if hasattr(value, "items"):
        return {str(key): _to_plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [_to_plain(inner) for inner in value]
    return str(value)
