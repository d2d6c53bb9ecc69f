"""Starts the probe in a runtime, as a program of its own that a test can send signals to or kill.

start.py RUNTIME INVOCATION.json        the exit code is the tool's, or 143
"""

import json
import sys
from pathlib import Path

from contract.errors import Stopped
from coordinator.runners import Invocation
from coordinator.runners.choose import make_runner
from coordinator.tools.finding import find_tool


def main(runtime: str, file: str) -> int:
    """Run the invocation that a file describes."""
    content = json.loads(Path(file).read_text(encoding="utf-8"))
    invocation = Invocation(
        name=content["name"], fingerprint=content["fingerprint"], tool=find_tool("probe", Path(content["tools"])),
        arguments=tuple(content["arguments"]), data=Path(content["data"]), dataset="tiny", shows_labels=False,
        out=Path(content["out"]), log=Path(content["log"]), held_files=tuple(content["held_files"]),
    )  # fmt: skip
    try:
        return make_runner(runtime, invocation.log.parent).run(invocation)
    except Stopped:
        return 143


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], sys.argv[2]))
