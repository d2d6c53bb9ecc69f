"""Runs tools with Apptainer, which clusters have where they have no Docker: no daemon, no rights, files of the caller.

A container sees what a Docker container sees (`view`), on a read-only root, without capabilities, with the caller's
user id, in its own process and IPC namespace, and without network where the site lets an ordinary user cut it off.
/tmp is a new folder below $TMPDIR. Apptainer can limit neither memory nor the number of processes for an ordinary
user: on a cluster, the batch system does. The log begins with the command line.
"""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO

from contract.errors import UsageError
from coordinator.runners import Invocation
from coordinator.runners.csvvalues import csv_value
from coordinator.runners.environment import child_environment
from coordinator.runners.sifs import find_apptainer, make_sif, require_sif, sif_file
from coordinator.runners.stopping import raise_on_sigterm, wait_or_stop
from coordinator.runners.view import readable_paths, thread_environment
from coordinator.tools.finding import Tool

TMP = "/tmp"  # noqa: S108 - inside the container
CONTAINED = (
    "--containall",  # own processes, IPC, /dev, and none of the caller's variables
    "--no-mount=tmp,cwd,hostfs,bind-paths",  # nothing that the site would show unasked
    "--no-umask", "--no-eval", "--pwd=/",  # as Docker has them
)  # fmt: skip
WITHOUT_NETWORK = ("--net", "--network=none")
WITHOUT_PRIVILEGES = ("--no-privs",)
UNRESTRICTED = "the network, which this machine did not let its user cut off"
"""What `run.json` says of a run where that is so."""
DESCRIBE_S = 300
"""Seconds for `describe`: where squashfuse is missing, Apptainer unpacks the whole image first."""
GPU_OPTION = "COORDINATOR_APPTAINER_GPU"
"""The variable that names Apptainer's option for GPUs; `--nv` when it is not set."""
_OWN_SETTINGS = ("APPTAINER_TMPDIR", "APPTAINER_CACHEDIR", "APPTAINER_CONFIGDIR")
"""Of the caller's variables for Apptainer, those that change nothing in the container."""


@dataclass(frozen=True)
class ApptainerRunner:
    """Runs each tool in its own SIF file.

    Attributes:
        images: of what SIF files are made, as `make_sif` says.
    """

    images: str | None = None

    @property
    def runtime(self) -> str:
        """The runner's name in study files and plans."""
        return "apptainer"

    @property
    def uses_this_machine(self) -> bool:
        """Tools run here."""
        return True

    def code_id(self, tool: Tool) -> str:
        """The sha256 of the tool's SIF file.

        Raises:
            UsageError: there is none, or it is of other sources than the tool's folder now holds.
        """
        return f"sha256:{require_sif(tool).sha256}"

    def build(self, tool: Tool) -> None:
        """Make the SIF file, unless there is one of the same sources.

        Raises:
            UsageError: there is no image to make it of, or it does not build.
        """
        make_sif(tool, self.images)

    def describe(self, tool: Tool) -> str:
        """Return the output of `<tool> describe`, run in a container without mounts.

        Raises:
            UsageError: the tool is not built, or `describe` fails or takes too long.
        """
        self.code_id(tool)
        with tempfile.TemporaryDirectory(prefix="label-quality-") as name:
            command = [*self._begin(tool, Path(name)), str(sif_file(tool)), "describe"]
            try:
                result = subprocess.run(
                    command, env=_environment(Path(name)), stdin=subprocess.DEVNULL, capture_output=True, check=False,
                    timeout=DESCRIBE_S,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                raise UsageError(
                    f"{tool.name}: `describe` must end within {DESCRIBE_S} s, but does not; Apptainer needs squashfuse "
                    "to start a SIF file at once"
                ) from None
        if result.returncode:
            reason = result.stderr.decode(errors="replace").strip()[-300:]
            raise UsageError(f"{tool.name}: `describe` must end with exit code 0, but: {reason}")
        return result.stdout.decode(errors="replace")

    def run(self, invocation: Invocation) -> int:
        """Run a tool to its end and return its exit code; pass SIGTERM on to it.

        Raises:
            UsageError: the tool is not built, Apptainer is missing, or a file that it may read does not exist.
        """
        invocation.out.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix="label-quality-", ignore_cleanup_errors=True)
        with scratch as name, raise_on_sigterm(), invocation.log.open("ab", buffering=0) as log:
            return wait_or_stop(self.start(invocation, Path(name), log))

    def start(
        self,
        invocation: Invocation,
        scratch: Path,
        log: BinaryIO,
        more: Mapping[str, str] | None = None,
        open_locks: Collection[str] = (),
    ) -> "subprocess.Popen[bytes]":
        """Start a tool and leave it to the caller.

        Args:
            invocation: the run.
            scratch: an empty folder, which is /tmp of the container.
            log: file for the command line and the tool's output.
            more: environment variables in addition to those of every run.
            open_locks: names of restrictions that are left out, for the conformance test: network, root, privileges.
        """
        tool = invocation.tool
        variables = {**thread_environment(invocation), **_gpu_variables(invocation), **(more or {})}
        variables["TOOL_IMAGE_ID"] = self.code_id(tool)
        if not can_cut_network(tool):
            variables["TOOL_UNRESTRICTED"] = UNRESTRICTED
        command = self._begin(tool, scratch, open_locks)
        for name, value in variables.items():
            command += ["--env", csv_value(f"{name}={value}")]
        for to, source in readable_paths(invocation).items():
            command += ["--mount", _mount(source, to, "ro")]
        command += ["--mount", _mount(invocation.out.resolve(), "/out")]
        if invocation.gpus and (option := os.environ.get(GPU_OPTION, "--nv")):
            command.append(option)
        command += [str(sif_file(tool)), *invocation.arguments]
        log.write(f"{shlex.join(command)}\n".encode())
        log.flush()
        return subprocess.Popen(
            command, cwd="/", env=_environment(scratch), pass_fds=invocation.held_files,
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def _begin(self, tool: Tool, scratch: Path, open_locks: Collection[str] = ()) -> list[str]:
        """A command line as far as it is the same for all runs of a tool."""
        locks = {"network": WITHOUT_NETWORK if can_cut_network(tool) else (), "privileges": WITHOUT_PRIVILEGES}
        closed = [option for lock, options in locks.items() if lock not in open_locks for option in options]
        opened = ["--writable-tmpfs"] if "root" in open_locks else []
        # Apptainer sets HOME itself; as /tmp it may be written to, and lies where the image expects it.
        return [find_apptainer().path, "run", *CONTAINED, f"--home={scratch}:{TMP}", *closed, *opened]


def can_cut_network(tool: Tool) -> bool:
    """Whether this machine lets the caller start a container without network."""
    return _starts_without_network(sif_file(tool))


@cache
def _starts_without_network(file: Path) -> bool:
    command = [find_apptainer().path, "exec", "--containall", *WITHOUT_NETWORK, str(file), "true"]
    scratch = Path(tempfile.gettempdir())
    return subprocess.run(command, env=_environment(scratch), capture_output=True, check=False).returncode == 0


def _environment(scratch: Path) -> dict[str, str]:
    """The variables of Apptainer itself; the container gets none of them."""
    return child_environment(scratch) | {name: os.environ[name] for name in _OWN_SETTINGS if name in os.environ}


def _gpu_variables(invocation: Invocation) -> dict[str, str]:
    """Which GPUs the tool may use: all of the machine are there in the container, so these variables choose."""
    # The order of nvidia-smi, and so of the leases.
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": ",".join(map(str, invocation.gpus))}


def _mount(source: Path, to: str, *options: str) -> str:
    """A bind mount, which fails where its source is missing.

    Raises:
        UsageError: Apptainer can't read a path of several lines.
    """
    if "\n" in f"{source}{to}":
        raise UsageError(f"{str(source)!r}: must be a path of one line for Apptainer, but is not; rename the folder")
    return csv_value("type=bind", f"source={source}", f"destination={to}", *options)
