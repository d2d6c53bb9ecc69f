"""What is tried: an image, of which nothing is known but what its `describe` says; or a folder's tool as a process.

Both run the same invocations. A container is locked in, lock by lock, so that the one which a tool can't live with
can be found; a process is not, but what it leaves outside of its places is seen.
"""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from docker import DockerClient
from docker.errors import APIError
from docker.models.containers import Container

from contract.errors import UsageError
from coordinator.runners import Invocation
from coordinator.runners.process import ProcessRunner
from coordinator.runners.sandbox import Sandbox, make_sandbox
from coordinator.runners.stopping import GRACE_S
from coordinator.tools.finding import Tool

UID = 12345
"""Of containers: nobody, with no line in /etc/passwd."""
LOCKS: dict[str, dict[str, Any]] = {
    "uid": {"user": "0:0"},
    "network": {"network_mode": "bridge"},
    "root": {"read_only": False},
    "privileges": {"cap_drop": [], "security_opt": []},
    "shm": {"shm_size": "2g"},
}
"""What a container is not given -> what it is made with instead where that is granted: root, a way out, …"""
CACHE = "__pycache__"
"""Not written by our runs, but by those of others."""
LIMIT_S = 3600
"""A run that takes longer is killed."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that ended.

    Attributes:
        code: exit code, as a shell gives it; 137 where it had to be killed.
        log: what it said.
        seconds: how long it took.
        went_on_s: how long after SIGTERM it ended; 0 where none was sent.
        strays: files that it left outside of /out and /tmp.
    """

    code: int
    log: str
    seconds: float
    went_on_s: float = 0.0
    strays: tuple[str, ...] = ()

    @property
    def last_words(self) -> str:
        """The last line of what it said, or that it had to be killed."""
        if self.seconds > LIMIT_S:
            return f"killed: it was not done after {LIMIT_S} s"
        lines = [line.strip() for line in self.log.splitlines() if line.strip()]
        return lines[-1][:300] if lines else "it said nothing"


@dataclass(frozen=True, slots=True)
class Start:
    """How a run is started and ended.

    Attributes:
        invocation: what is run.
        granted: locks that are left open.
        environment: variables beside those that every run gets.
        stop: SIGTERM is sent when it becomes true; it is asked all the time.
    """

    invocation: Invocation
    granted: Collection[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    stop: Callable[[], bool] = lambda: False


class Target(Protocol):
    """Something that can be run through the contract."""

    @property
    def runtime(self) -> str:
        """`docker` or `process`."""

    @property
    def locks(self) -> tuple[str, ...]:
        """Which of `LOCKS` it runs behind."""

    @property
    def owner(self) -> int | None:
        """The user id that files in /out must have; None where it can't be told."""

    @property
    def image_id(self) -> str | None:
        """What `run.json` must name as the image."""

    def describe(self) -> str:
        """What `describe` prints, without anything to see.

        Raises:
            UsageError: it fails.
        """

    def run(self, start: Start) -> Ended:
        """Run it to its end."""

    def hand_over(self, folder: Path) -> None:
        """Let the caller remove what runs wrote below a folder."""


@dataclass(frozen=True, slots=True)
class ProcessTarget:
    """A folder's tool in its own virtual environment."""

    tool: Tool
    runtime: str = "process"
    locks: tuple[str, ...] = ()
    owner: int | None = None
    image_id: str | None = None

    def describe(self) -> str:
        """What `describe` prints."""
        try:
            return ProcessRunner().describe(self.tool)
        except subprocess.CalledProcessError as error:
            raise UsageError(f"`describe` must end with exit code 0, but ends with {error.returncode}") from None

    def run(self, start: Start) -> Ended:
        """Run it in a scratch folder of links; what it leaves there or in its own folder is a stray."""
        invocation = replace(start.invocation, tool=self.tool)
        invocation.out.mkdir(parents=True, exist_ok=True)
        code_before, begin = files_below(self.tool.folder), time.monotonic()
        with tempfile.TemporaryDirectory(prefix="label-quality-") as name, invocation.log.open("wb") as log:
            scratch = Path(name)
            process = ProcessRunner().start(invocation, scratch, log, start.environment)
            try:
                code, went_on_s = _end_of(process.poll, process.send_signal, start.stop)
            finally:
                process.kill()
                process.wait()
            seconds = time.monotonic() - begin
            strays = [path for path in files_below(scratch) if not path.startswith("tmp/")]
        # Only what is new: who checks a tool may be working on it.
        strays += sorted(
            path for path in files_below(self.tool.folder).keys() - code_before.keys() if CACHE not in path
        )
        text = invocation.log.read_text(encoding="utf-8", errors="replace")
        return Ended(code if code >= 0 else 128 - code, text, seconds, went_on_s, tuple(strays))

    def hand_over(self, folder: Path) -> None:
        """Its files are the caller's."""


@dataclass(frozen=True, slots=True)
class ImageTarget:
    """A Docker image, run as a user that it does not know."""

    image_id: str
    client: DockerClient
    runtime: str = "docker"
    locks: tuple[str, ...] = tuple(LOCKS)

    @property
    def owner(self) -> int | None:
        """The containers' user, unless the engine maps user ids."""
        options = self.client.info().get("SecurityOptions") or []
        return None if any("rootless" in option or "userns" in option for option in options) else UID

    def describe(self) -> str:
        """What `describe` prints in a container that sees nothing."""
        container = self._container(Sandbox(self.image_id).container_settings(("describe",)))
        try:
            container.start()
            code, _ = _end_of(lambda: _exit_code(container), container.kill, lambda: False)
            if code != 0:
                raise UsageError(
                    f"`describe` must end with exit code 0, but ends with {code}: {_log(container)[-300:]}"
                )
            return container.logs(stderr=False).decode()
        except APIError as error:
            raise UsageError(f"the image must start, but: {error.explanation}") from None
        finally:
            container.remove(force=True)

    def run(self, start: Start) -> Ended:
        """Run it behind all locks that are not left open."""
        invocation = start.invocation
        invocation.out.mkdir(parents=True, exist_ok=True)
        invocation.out.chmod(0o777)
        settings = make_sandbox(invocation, self.image_id).container_settings(invocation.arguments)
        settings["environment"] |= start.environment
        begin = time.monotonic()
        container = self._container(settings, start.granted)
        try:
            container.start()
            code, went_on_s = _end_of(lambda: _exit_code(container), container.kill, start.stop)
            return Ended(code, _log(container), time.monotonic() - begin, went_on_s)
        finally:
            container.remove(force=True)

    def hand_over(self, folder: Path) -> None:
        """Files are the containers' user's: it opens them to all."""
        sandbox = Sandbox(self.image_id, writable={"/out": folder})
        container = self._container(sandbox.container_settings(("-R", "a+rwX", "/out")) | {"entrypoint": ["chmod"]})
        with suppress(APIError):  # an image without chmod; who removes the files then says which are left
            container.start()
            container.wait()
        container.remove(force=True)

    def _container(self, settings: dict[str, Any], granted: Collection[str] = ()) -> Container:
        settings = settings | {"name": None, "user": f"{UID}:{UID}"}
        for lock in granted:
            settings |= LOCKS[lock]
        return self.client.containers.create(**settings)


def _end_of(
    code: Callable[[], int | None], send: Callable[[signal.Signals], None], stop: Callable[[], bool]
) -> tuple[int, float]:
    """Wait for the exit code; send SIGTERM when `stop` says so, and SIGKILL to what does not end in time.

    Returns:
        The exit code, and the seconds from SIGTERM to the end.
    """
    deadline, asked = time.monotonic() + LIMIT_S, 0.0
    while (ended := code()) is None:
        if not asked and stop():
            send(signal.SIGTERM)
            asked = time.monotonic()
            deadline = asked + GRACE_S
        if time.monotonic() > deadline:
            send(signal.SIGKILL)
            deadline = float("inf")
        time.sleep(0.05)
    return ended, time.monotonic() - asked if asked else 0.0


def _exit_code(container: Container) -> int | None:
    container.reload()
    state = container.attrs["State"]
    return int(state["ExitCode"]) if state["Status"] == "exited" else None


def _log(container: Container) -> str:
    return container.logs().decode(errors="replace")


def files_below(folder: Path) -> dict[str, tuple[int, int]]:
    """File below a folder -> size and time of change; links are not followed, what vanishes meanwhile is left out."""
    states = {}
    for parent, _, names in os.walk(folder):
        for path in (Path(parent) / name for name in names):
            with suppress(FileNotFoundError):
                if not path.is_symlink():
                    status = path.stat()
                    states[str(path.relative_to(folder))] = (status.st_size, status.st_mtime_ns)
    return states
