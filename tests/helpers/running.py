"""Helpers of the runner tests: invocations of the probe, its results and the facts that it prints."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from coordinator.runners import Invocation
from coordinator.tools.finding import Tool


def make_invocation(probe: Tool, data: Path, folder: Path, *arguments: str) -> Invocation:
    """Make an invocation of the probe on `tiny` with results and log in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return Invocation(
        name=re.sub("[^a-z0-9]+", "-", f"lq-test-{folder.parent.name}-{folder.name}"), fingerprint="f1",
        tool=probe, arguments=("--dataset", "tiny", *arguments), data=data, dataset="tiny", shows_labels=False,
        out=folder / "out", log=folder / "log.txt",
    )  # fmt: skip


def show_labels(invocation: Invocation) -> Invocation:
    """Copy an invocation, with the reference labels shown to the tool."""
    return replace(invocation, shows_labels=True)


def read_probe_facts(invocation: Invocation) -> dict[str, Any]:
    """Read the facts that the probe printed about its surroundings."""
    lines = [line for line in invocation.log.read_text(encoding="utf-8").splitlines() if line.startswith("probe: ")]
    return json.loads(lines[-1].removeprefix("probe: "))  # type: ignore[no-any-return]


def read_results(invocation: Invocation) -> dict[str, bytes]:
    """Read the bytes of every label map that was written."""
    folder = invocation.out / "tiny/probe-bone"
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.nii.gz"))}


def start_runner(
    runtime: str, invocation: Invocation, environment: dict[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start a runner in a program of its own."""
    file = invocation.log.with_name("invocation.json")
    content = {
        "name": invocation.name, "fingerprint": invocation.fingerprint, "tools": str(invocation.tool.folder.parent),
        "arguments": invocation.arguments, "data": str(invocation.data), "out": str(invocation.out), "log": str(invocation.log),
        "held_files": invocation.held_files,
    }  # fmt: skip
    file.write_text(json.dumps(content), encoding="utf-8")
    program = [sys.executable, str(Path(__file__).with_name("start.py")), runtime, str(file)]
    return subprocess.Popen(program, env=environment, pass_fds=invocation.held_files)


def wait_until(condition: Callable[[], object], seconds: float = 90) -> None:
    """Wait until a condition is true.

    Raises:
        TimeoutError: it is still false after `seconds`.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not true after {seconds} s")
        time.sleep(0.05)


def log_has(invocation: Invocation, text: str) -> bool:
    """Whether the log holds a text."""
    return invocation.log.exists() and text in invocation.log.read_text(encoding="utf-8")


def stop_in_the_middle(runtime: str, slow: Invocation, seconds: float) -> None:
    """Stop a runner by SIGTERM while its tool works on the second case: the tool ends well, and leaves whole files."""
    with start_runner(runtime, slow) as program:
        wait_until(lambda: log_has(slow, "working on b"))
        program.send_signal(signal.SIGTERM)

        assert program.wait(seconds) == 143
    assert log_has(slow, "stopped by SIGTERM")
    assert list(read_results(slow)) == ["a.nii.gz"]
    assert not list(slow.out.rglob("*.part"))
