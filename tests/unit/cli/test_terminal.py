"""A terminal that can't show a character, or that is gone, ends nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

WRITE = """
import sys
from coordinator.cli import terminal
terminal.prepare()
from rich.console import Console
import click
for number in range(3):
    Console().print("✓ [bold]Größe[/bold] ─")
    click.echo("✗ \\udcff", err=True)
with open(sys.argv[1], "w") as stream:
    stream.write("went on")
raise SystemExit(7)
"""
COMMAND = [sys.executable, "-c", WRITE]


def environment(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "COORDINATOR_TEST": "1", **more}


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("ascii", "? Gr??e ?"), ("iso-8859-1", "? Größe ?"), ("cp1252", "? Größe ?"), ("utf-8", "✓ Größe ─")],
)
def test_what_a_terminal_cannot_show_is_replaced(encoding: str, shown: str, tmp_path: Path):
    written = subprocess.run(
        [*COMMAND, tmp_path / "file"], env=environment(PYTHONIOENCODING=encoding), capture_output=True, check=False
    )

    assert (written.returncode, (tmp_path / "file").read_text()) == (7, "went on"), written.stderr
    assert written.stdout.decode(encoding).splitlines() == [shown] * 3
    assert b"Traceback" not in written.stderr


def test_a_pipe_whose_reader_has_gone_ends_nothing(tmp_path: Path):
    reading, writing = os.pipe()
    os.close(reading)

    written = subprocess.run(
        [*COMMAND, tmp_path / "file"], env=environment(), stdout=writing, stderr=writing, check=False
    )

    os.close(writing)
    assert (written.returncode, (tmp_path / "file").read_text()) == (7, "went on")


def test_a_terminal_that_was_closed_ends_nothing(tmp_path: Path):
    ours, terminal = os.openpty()
    os.close(ours)  # as when a window is closed: writing gives EIO

    written = subprocess.run(
        [*COMMAND, tmp_path / "file"], env=environment(), stdout=terminal, stderr=terminal, check=False
    )

    os.close(terminal)
    assert (written.returncode, (tmp_path / "file").read_text()) == (7, "went on")


def test_streams_that_were_never_open_take_no_file_of_ours(tmp_path: Path):
    shell = 'exec "$@" <&- >&- 2>&-'

    written = subprocess.run(["sh", "-c", shell, "sh", *COMMAND, tmp_path / "file"], env=environment(), check=False)

    assert (written.returncode, (tmp_path / "file").read_text()) == (7, "went on")


def test_output_that_finds_no_room_is_an_error_with_a_name(tmp_path: Path):
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [Path(sys.executable).with_name("coordinator"), "init", "word"],
            env=environment(), stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip

    assert ended.returncode == 2
    assert ended.stderr.startswith("error: standard output: must have room, but: No space left on device")
    assert "Traceback" not in ended.stderr
