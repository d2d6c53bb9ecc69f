"""Events are followed whatever stands between them."""

import json
import os
from logging import LogRecord
from pathlib import Path
from types import SimpleNamespace

from snakemake_logger_plugin_coordinator import LogHandler, LogHandlerSettings

from coordinator.engine.events import EVENTS, EventReader, failed_jobs, prepare_events


def event(kind: str, job: int, **more: object) -> str:
    return json.dumps({"event": kind, "time": 1.5, "jobid": job, **more})


def test_lines_that_are_no_events_are_left_out_and_one_that_is_being_written_is_waited_for(tmp_path: Path):
    file = tmp_path / EVENTS
    junk = [
        "\udcff",
        "[1]",
        "5",
        "null",
        '{"event": null, "time": 1}',
        '{"time": 1}',
        '{"event": "x", "time": "y"}',
        "[" * 9999,
    ]
    lines = [event("job_info", 1, wildcards={"id": "a"}), *junk, event("job_error", 1)]
    file.write_bytes("".join(f"{line}\n" for line in lines).encode(errors="surrogateescape") + b'{"event": "job_')
    reader = EventReader(file)

    first = reader.read()
    with file.open("ab") as stream:
        stream.write(b'finished", "time": 2, "jobid": 2}\n')
    second = reader.read()

    assert [e["event"] for e in first] == ["job_info", "job_error"]
    assert [e["event"] for e in second] == ["job_finished"]


def test_a_file_that_was_cut_is_read_from_its_start(tmp_path: Path):
    file = tmp_path / EVENTS
    file.write_text(f"{event('progress', 1)}\n" * 5)
    reader = EventReader(file)
    reader.skip()
    file.write_text(f"{event('error', 1)}\n")

    assert [e["event"] for e in reader.read()] == ["error"]


def test_a_line_that_was_cut_short_ends_before_the_next_run(tmp_path: Path):
    (tmp_path / EVENTS).write_text('{"event": "job_')

    prepare_events(tmp_path)

    assert (tmp_path / EVENTS).read_text() == '{"event": "job_\n'


def test_steps_that_ended_with_an_error_are_known_by_their_events():
    events = [json.loads(event("job_info", n, wildcards={"id": f"toy/{n}"})) for n in (1, 2)]
    events += [json.loads(event("job_error", 2)), json.loads(event("job_error", 9))]

    assert failed_jobs(events) == {"toy/2"}


def test_a_pipe_that_is_put_in_the_place_of_the_events_is_not_written_to(tmp_path: Path):
    os.mkfifo(tmp_path / EVENTS)
    record = LogRecord("snakemake", 20, "", 1, "", (), None)
    record.event, record.jobid = "job_error", 1
    settings = LogHandlerSettings(events=str(tmp_path / EVENTS))

    LogHandler.emit(SimpleNamespace(settings=settings), record)  # opening a pipe that nobody reads would never end

    assert [e["event"] for e in EventReader(tmp_path / EVENTS).read()] == ["job_error"]
