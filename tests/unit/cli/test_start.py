"""A command that is interrupted before it has begun anything: no traceback, whatever it was loading."""

import signal
import subprocess
import sys
from collections.abc import Callable

START = (sys.executable, "-v", "-c", "from coordinator.cli.start import main; main()", "--version")
"""Python names on standard error what it has imported."""


def start(disposition: Callable[[], object]) -> "subprocess.Popen[str]":
    """Start the command with a way to take SIGINT, and wait until it loads what the commands need."""
    process = subprocess.Popen(START, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=disposition)
    assert process.stderr is not None
    assert any(line.startswith("import 'click") for line in process.stderr)
    return process


def test_sigint_while_the_command_loads_ends_it_at_once():
    process = start(lambda: signal.signal(signal.SIGINT, signal.default_int_handler))

    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == -signal.SIGINT
    assert "Traceback" not in errors
    assert "KeyboardInterrupt" not in errors


def test_sigint_that_the_caller_has_ignored_stays_ignored():
    process = start(lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))

    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)

    assert process.returncode == 0
    assert printed.startswith("coordinator, version")
