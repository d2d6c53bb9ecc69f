"""Helpers of the runner tests: invocations of the probe, and reading what it said."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from coordinator.runners import Invocation
from coordinator.tools.finding import Tool


def invocation(probe: Tool, data: Path, folder: Path, *arguments: str) -> Invocation:
    """A run of the probe on `tiny` with results and log in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return Invocation(
        name=re.sub("[^a-z0-9]+", "-", f"lq-test-{folder.parent.name}-{folder.name}"), fingerprint="f1",
        tool=probe, arguments=("--dataset", "tiny", *arguments), data=data, dataset="tiny", shows_labels=False,
        out=folder / "out", log=folder / "log.txt",
    )  # fmt: skip


def with_labels(given: Invocation) -> Invocation:
    """The same, but the tool may see labels."""
    return replace(given, shows_labels=True)


def said(given: Invocation) -> dict[str, Any]:
    """What the probe told about its place."""
    lines = [line for line in given.log.read_text(encoding="utf-8").splitlines() if line.startswith("probe: ")]
    return json.loads(lines[-1].removeprefix("probe: "))  # type: ignore[no-any-return]


def results(given: Invocation) -> dict[str, bytes]:
    """Bytes of every label map that was written."""
    folder = given.out / "tiny/probe-bone"
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.nii.gz"))}


def started(runtime: str, given: Invocation, environment: dict[str, str] | None = None) -> "subprocess.Popen[bytes]":
    """Start it in a program of its own."""
    file = given.log.with_name("invocation.json")
    content = {
        "name": given.name, "fingerprint": given.fingerprint, "tools": str(given.tool.folder.parent),
        "arguments": given.arguments, "data": str(given.data), "out": str(given.out), "log": str(given.log),
        "held_files": given.held_files,
    }  # fmt: skip
    file.write_text(json.dumps(content), encoding="utf-8")
    program = [sys.executable, str(Path(__file__).with_name("start.py")), runtime, str(file)]
    return subprocess.Popen(program, env=environment, pass_fds=given.held_files)


def wait_until(condition: Callable[[], object], seconds: float = 90) -> None:
    """Wait for something to become true.

    Raises:
        TimeoutError: it does not.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not true after {seconds} s")
        time.sleep(0.05)


def log_has(given: Invocation, text: str) -> bool:
    """Whether the log holds a text by now."""
    return given.log.exists() and text in given.log.read_text(encoding="utf-8")
