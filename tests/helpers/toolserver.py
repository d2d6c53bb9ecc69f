"""A tool's runs as forks of one process that has imported its modules, which takes longer than all else in its tests."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FORK = """
for line in sys.stdin:
    request = json.loads(line)
    child = os.fork()
    if child == 0:
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1), os.dup2(log, 2)
        sys.argv = request["argv"]
        runpy.run_path(sys.argv[0], run_name="__main__")
        raise SystemExit
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Running:
    """A run of the tool; -9 is the exit code of one that was killed."""

    pid: int
    log: Path
    server: subprocess.Popen[str]

    def exit_code(self) -> int:
        assert self.server.stdout
        return int(self.server.stdout.readline())

    def send_when(self, signum: int, condition: Callable[[], bool], delay_s: float) -> None:
        deadline = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.002)
        time.sleep(delay_s)
        os.kill(self.pid, signum)


@contextmanager
def serve_tool(python: str, imports: str, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Start a server; `imports` is run once, before the first run is forked."""
    program = f"import json, os, runpy, sys\n{imports}\n{FORK}"
    with subprocess.Popen(
        [python, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as server:
        yield server
        server.send_signal(signal.SIGKILL)


def start_program(server: subprocess.Popen[str], argv: list[str], log: Path) -> Running:
    """Start a program with the tool's modules imported; what it prints is appended to the log."""
    assert server.stdin
    assert server.stdout
    server.stdin.write(json.dumps({"argv": argv, "log": str(log)}) + "\n")
    server.stdin.flush()
    return Running(int(server.stdout.readline()), log, server)
