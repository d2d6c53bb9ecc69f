"""The targets of a check: an image, known only by its `describe`; or a folder's tool, in Apptainer or as a process.

All run the same invocations. A container is restricted by locks. Those of a tool of ours can be opened one by one, so
that the lock under which it fails can be found; a foreign image never runs without all of them. A process is not
restricted, but files that it leaves outside of /out and /tmp are found.
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
from typing import Any, BinaryIO, Protocol

from docker import DockerClient
from docker.errors import APIError
from docker.models.containers import Container

from contract.errors import UsageError
from coordinator.runners import Invocation
from coordinator.runners.apptainer import ApptainerRunner, can_cut_network
from coordinator.runners.describing import DESCRIBE_LOG, exit_code, read_description, remove_container
from coordinator.runners.engines import Engine, read_engine
from coordinator.runners.process import ProcessRunner
from coordinator.runners.sandbox import Sandbox, make_sandbox
from coordinator.runners.stopping import GRACE_S
from coordinator.tools.finding import Tool

UID = 12345
"""User of the containers: one without a line in /etc/passwd."""
LOCKS: dict[str, dict[str, Any]] = {
    "uid": {"user": "0:0"},
    "network": {"network_mode": "bridge"},
    "root": {"read_only": False},
    "privileges": {"cap_drop": [], "security_opt": []},
    "shm": {"shm_size": "2g"},
}
"""Lock -> settings of a container for which this lock is open."""
CACHE = "__pycache__"
"""Our runs don't write this folder, but other runs of the tool may."""
LIMIT_S = 3600
"""A run that takes longer is killed."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended.

    Attributes:
        code: exit code, as a shell gives it; 137 if the run was killed.
        log: its output.
        seconds: duration of the run.
        after_sigterm_s: seconds from SIGTERM to the end; 0 if none was sent.
        strays: files that it left outside of /out and /tmp.
    """

    code: int
    log: str
    seconds: float
    after_sigterm_s: float = 0.0
    strays: tuple[str, ...] = ()

    @property
    def last_line(self) -> str:
        """The last line of its output, or that it was killed."""
        if self.seconds > LIMIT_S:
            return f"killed: it was not done after {LIMIT_S} s"
        lines = [line.strip() for line in self.log.splitlines() if line.strip()]
        return lines[-1][:300] if lines else "no output"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """How to run a target.

    Attributes:
        invocation: the invocation to run.
        open_locks: locks to leave open.
        environment: variables in addition to those of every run.
        should_stop: called all the time; SIGTERM is sent when it becomes true.
    """

    invocation: Invocation
    open_locks: Collection[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    should_stop: Callable[[], bool] = lambda: False


class Target(Protocol):
    """Something that can be run through the contract."""

    @property
    def runtime(self) -> str:
        """`docker`, `apptainer` or `process`."""

    @property
    def locks(self) -> tuple[str, ...]:
        """The `LOCKS` that restrict it."""

    @property
    def is_foreign(self) -> bool:
        """Whether nothing but an image is known of it; then it never runs without its locks."""

    @property
    def owner(self) -> int | None:
        """The user id that files in /out must have; None where it can't be known."""

    @property
    def image_id(self) -> str | None:
        """The image id that `run.json` must hold."""

    def describe(self) -> str:
        """Return the output of `describe`, run without data.

        Raises:
            UsageError: it fails.
        """

    def run(self, request: RunRequest) -> RunOutcome:
        """Run it to its end."""

    def make_removable(self, folder: Path) -> None:
        """Let the caller remove the files that runs wrote below a folder."""


@dataclass(frozen=True, slots=True)
class ProcessTarget:
    """A folder's tool in its own virtual environment."""

    tool: Tool
    runtime: str = "process"
    locks: tuple[str, ...] = ()
    is_foreign: bool = False
    owner: int | None = None
    image_id: str | None = None

    def describe(self) -> str:
        """Return the output of `describe`."""
        try:
            return ProcessRunner().describe(self.tool)
        except subprocess.CalledProcessError as error:
            raise UsageError(f"`describe` must end with exit code 0, but ends with {error.returncode}") from None

    def run(self, request: RunRequest) -> RunOutcome:
        """Run it in a scratch folder of links; new files there or in its own folder are strays."""
        invocation = replace(request.invocation, tool=self.tool)
        code_before = files_below(self.tool.folder)
        with tempfile.TemporaryDirectory(prefix="label-quality-") as name:
            scratch = Path(name)
            outcome = _run_program(
                request, lambda log: ProcessRunner().start(invocation, scratch, log, request.environment)
            )
            strays = [path for path in files_below(scratch) if not path.startswith("tmp/")]
        # Only new files: the user may be working on the tool meanwhile.
        strays += sorted(
            path for path in files_below(self.tool.folder).keys() - code_before.keys() if CACHE not in path
        )
        return replace(outcome, strays=tuple(strays))

    def make_removable(self, folder: Path) -> None:
        """Do nothing: the files belong to the caller."""


@dataclass(frozen=True, slots=True)
class ApptainerTarget:
    """A folder's tool in its SIF file, run as the caller: Apptainer runs nobody whom the machine does not know."""

    tool: Tool
    runtime: str = "apptainer"
    is_foreign: bool = False

    @property
    def locks(self) -> tuple[str, ...]:
        """The locks of a container here; the size of shared memory is the machine's."""
        network = ("network",) if can_cut_network(self.tool) else ()
        return ("uid", *network, "root", "privileges")

    @property
    def owner(self) -> int | None:
        """The caller."""
        return os.getuid()

    @property
    def image_id(self) -> str | None:
        """The SIF file's sha256."""
        return ApptainerRunner().code_id(self.tool)

    def describe(self) -> str:
        """Return the output of `describe`, run in a container without mounts."""
        return ApptainerRunner().describe(self.tool)

    def run(self, request: RunRequest) -> RunOutcome:
        """Run it behind all locks except the open ones."""
        invocation = replace(request.invocation, tool=self.tool)
        with tempfile.TemporaryDirectory(prefix="label-quality-") as scratch:
            return _run_program(
                request,
                lambda log: ApptainerRunner().start(
                    invocation, Path(scratch), log, request.environment, request.open_locks
                ),
            )

    def make_removable(self, folder: Path) -> None:
        """Do nothing: the files belong to the caller."""


@dataclass(frozen=True, slots=True)
class ImageTarget:
    """A Docker image, run as a user that the image does not know; not foreign where its sources are here."""

    image_id: str
    client: DockerClient
    is_foreign: bool = True
    runtime: str = "docker"
    locks: tuple[str, ...] = tuple(LOCKS)

    @property
    def owner(self) -> int | None:
        """The containers' user, unless the engine maps user ids."""
        options = self.client.info().get("SecurityOptions") or []
        return None if self._engine.is_rootless or any("userns" in option for option in options) else UID

    def describe(self) -> str:
        """Return the output of `describe`, run in a container without mounts."""
        settings = Sandbox(self.image_id, self._engine).container_settings(("describe",))
        return read_description(self._container(settings | {"log_config": DESCRIBE_LOG}))

    def run(self, request: RunRequest) -> RunOutcome:
        """Run it behind all locks except the open ones."""
        invocation = request.invocation
        invocation.out.mkdir(parents=True, exist_ok=True)
        invocation.out.chmod(0o777)
        settings = make_sandbox(invocation, self.image_id, self._engine).container_settings(invocation.arguments)
        settings["environment"] |= request.environment
        begin = time.monotonic()
        container = self._container(settings, request.open_locks)
        try:
            container.start()
            code, after_sigterm_s = _wait_for_end(lambda: exit_code(container), container.kill, request.should_stop)
            return RunOutcome(code, _log(container), time.monotonic() - begin, after_sigterm_s)
        finally:
            remove_container(container)

    def make_removable(self, folder: Path) -> None:
        """Make the files of the containers' user writable for all, in a container of that user."""
        sandbox = Sandbox(self.image_id, self._engine, writable={"/out": folder})
        container = self._container(sandbox.container_settings(("-R", "a+rwX", "/out")) | {"entrypoint": ["chmod"]})
        with suppress(APIError):  # an image without chmod; the removal then says which files are left
            container.start()
            container.wait()
        remove_container(container)

    @property
    def _engine(self) -> Engine:
        return read_engine(self.client)

    def _container(self, settings: dict[str, Any], open_locks: Collection[str] = ()) -> Container:
        settings = settings | {"name": None, "user": f"{UID}:{UID}"}
        for lock in open_locks:
            settings |= LOCKS[lock]
        return self.client.containers.create(**settings)


def _run_program(request: RunRequest, start: Callable[[BinaryIO], "subprocess.Popen[bytes]"]) -> RunOutcome:
    """Run a program that ends with its tool, to its end."""
    invocation, begin = request.invocation, time.monotonic()
    invocation.out.mkdir(parents=True, exist_ok=True)
    with invocation.log.open("wb") as log:
        process = start(log)
        try:
            code, after_sigterm_s = _wait_for_end(process.poll, process.send_signal, request.should_stop)
        finally:
            process.kill()
            process.wait()
    seconds, text = time.monotonic() - begin, invocation.log.read_text(encoding="utf-8", errors="replace")
    return RunOutcome(code if code >= 0 else 128 - code, text, seconds, after_sigterm_s)


def _wait_for_end(
    read_code: Callable[[], int | None], send: Callable[[signal.Signals], None], should_stop: Callable[[], bool]
) -> tuple[int, float]:
    """Wait for a run to end; send SIGTERM when `should_stop` becomes true, and SIGKILL if it does not end in time.

    Returns:
        The exit code, and the seconds from SIGTERM to the end.
    """
    deadline, stopped_at = time.monotonic() + LIMIT_S, 0.0
    while (code := read_code()) is None:
        if not stopped_at and should_stop():
            send(signal.SIGTERM)
            stopped_at = time.monotonic()
            deadline = stopped_at + GRACE_S
        if time.monotonic() > deadline:
            send(signal.SIGKILL)
            deadline = float("inf")
        time.sleep(0.05)
    return code, time.monotonic() - stopped_at if stopped_at else 0.0


def _log(container: Container) -> str:
    return container.logs().decode(errors="replace")


def files_below(folder: Path) -> dict[str, tuple[int, int]]:
    """File below a folder -> size and time of change, without links and without files that vanish meanwhile."""
    file_states = {}
    for parent, _, names in os.walk(folder):
        for path in (Path(parent) / name for name in names):
            with suppress(FileNotFoundError):
                if not path.is_symlink():
                    status = path.stat()
                    file_states[str(path.relative_to(folder))] = (status.st_size, status.st_mtime_ns)
    return file_states
