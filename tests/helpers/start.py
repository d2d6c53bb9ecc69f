"""Starts the probe in a runtime, as a program of its own that a test can send signals to or kill.

start.py RUNTIME INVOCATION.json        the exit code is the tool's, or 143
"""

import json
import sys
from pathlib import Path

from contract.errors import Stopped
from coordinator.runners import Invocation
from coordinator.runners.docker import DockerRunner
from coordinator.runners.process import ProcessRunner
from coordinator.tools.finding import find_tool


def main(runtime: str, file: str) -> int:
    """Run what the file says."""
    given = json.loads(Path(file).read_text(encoding="utf-8"))
    invocation = Invocation(
        name=given["name"], fingerprint=given["fingerprint"], tool=find_tool("probe", Path(given["tools"])),
        arguments=tuple(given["arguments"]), data=Path(given["data"]), dataset="tiny", shows_labels=False,
        out=Path(given["out"]), log=Path(given["log"]), held_files=tuple(given["held_files"]),
    )  # fmt: skip
    try:
        return (DockerRunner() if runtime == "docker" else ProcessRunner()).run(invocation)
    except Stopped:
        return 143


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], sys.argv[2]))
