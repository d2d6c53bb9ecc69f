"""Runs each tool as a process in its own virtual environment, for machines without a container engine.

    <root>/containers/<tool>/tool.py        runs in
    <root>/.venvs/<tool>/bin/python         which `build` makes from the locked requirements and the contract library

The tool starts in a folder of links to the files that it may read, with the environment variables that a container
would have. Nothing stops it from reading other files; Docker does.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from contract import atomic, statefiles
from contract.errors import UsageError
from contract.filelocks import lock
from contract.records import digest
from coordinator.runners import Invocation
from coordinator.runners.stopping import raise_on_sigterm, wait_or_stop
from coordinator.runners.toolsources import contract_folder, dependencies_digest, git_revision, sources_digest
from coordinator.runners.view import readable_paths, thread_environment
from coordinator.tools.finding import Tool

STAMP = "built-from"
"""File in an environment, written last: digest of the installed packages."""
_BUILD_LEFTOVERS = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
_LEADING_ASTRAY = (
    "PYTHON", "VIRTUAL_ENV", "CONDA_", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_REQUIRE_VIRTUALENV", "UV_PYTHON",
    "UV_TARGET", "UV_PROJECT",
)  # fmt: skip
"""How variables begin that would make an installer use another Python, or install elsewhere."""
UNRESTRICTED = "a process, which nothing keeps from the network and from other files"
"""What `run.json` says of a run."""
CACHES = {"MPLCONFIGDIR": "mpl", "NUMBA_CACHE_DIR": "numba", "TORCHINDUCTOR_CACHE_DIR": "inductor"}
"""Where libraries keep what they make, below the scratch folder; the Dockerfile says the same."""


@dataclass(frozen=True, slots=True)
class ProcessRunner:
    """Runs each tool in its own virtual environment."""

    @property
    def runtime(self) -> str:
        """The runner's name in study files and plans."""
        return "process"

    @property
    def uses_this_machine(self) -> bool:
        """Tools run here."""
        return True

    def venv(self, tool: Tool) -> Path:
        """The tool's environment: below $COORDINATOR_VENVS, or `.venvs` beside the folder of tools."""
        return _venvs_folder(tool) / tool.name

    def code_id(self, tool: Tool) -> str:
        """Digest of the tool's sources, locked requirements, the contract library and Python's version.

        Raises:
            UsageError: the environment is missing, unfinished, or made from other requirements.
        """
        if not self._is_built(tool):
            raise UsageError(
                f"{self.venv(tool)}: not built from the requirements as they are now: "
                f"run `make setup` or `coordinator tool build --runtime process {tool.name}`"
            )
        return digest([sources_digest(tool), _python_version(self.venv(tool))])

    def build(self, tool: Tool) -> None:
        """Make the environment; replace one that is unfinished or made from other requirements.

        Raises:
            UsageError: the environment does not build.
        """
        if self._is_built(tool):
            return
        venv = self.venv(tool)
        with _lock_build(venv):
            if self._is_built(tool):
                return
            shutil.rmtree(venv, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix="label-quality-") as scratch:
                # From a copy, since setuptools builds inside the folder, and takes up what an earlier build left there.
                contract = shutil.copytree(contract_folder(tool), Path(scratch) / "contract", ignore=_BUILD_LEFTOVERS)
                _make_environment(tool, venv, contract)
            atomic.write_text(venv / STAMP, _build_stamp(tool))

    def describe(self, tool: Tool) -> str:
        """Return the output of `<tool> describe`, run in an empty folder.

        Raises:
            UsageError: the tool is not built.
            CalledProcessError: `describe` fails.
        """
        self.code_id(tool)
        with tempfile.TemporaryDirectory(prefix="label-quality-") as name:
            scratch = Path(name)
            command = [str(self.venv(tool) / "bin/python"), str(tool.folder / "tool.py"), "describe"]
            environment = _clean_environment(self.venv(tool), scratch)
            return subprocess.run(
                command, env=environment, cwd=scratch, stdout=subprocess.PIPE, text=True, check=True
            ).stdout

    def run(self, invocation: Invocation) -> int:
        """Run a tool to its end and return its exit code; pass SIGTERM on to it.

        Raises:
            UsageError: the tool is not built, or a file that it may read does not exist.
        """
        self.code_id(invocation.tool)
        invocation.out.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix="label-quality-")
        with scratch as name, raise_on_sigterm(), invocation.log.open("ab", buffering=0) as log:
            return wait_or_stop(self.start(invocation, Path(name), log))

    def start(
        self, invocation: Invocation, scratch: Path, log: BinaryIO, more: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[bytes]":
        """Start a tool and leave it to the caller.

        Args:
            invocation: the run.
            scratch: an empty folder for the tool's working folder, its temporary files, and links to what it may read.
            log: file for the command line and the tool's output.
            more: environment variables in addition to those of every run.
        """
        _link_paths(readable_paths(invocation), scratch)
        environment = (
            _clean_environment(self.venv(invocation.tool), scratch) | _run_variables(invocation) | dict(more or {})
        )
        command = self._command(invocation)
        log.write(f"{shlex.join(command)}\n".encode())
        log.flush()
        return subprocess.Popen(
            command, cwd=scratch, env=environment, pass_fds=invocation.held_files,
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def _is_built(self, tool: Tool) -> bool:
        stamp = statefiles.read(self.venv(tool) / STAMP, lambda content: content)
        return stamp is not None and stamp == _build_stamp(tool).encode()

    def _command(self, invocation: Invocation) -> list[str]:
        """The tool's command line.

        Input paths are relative to its working folder, so that messages do not depend on where that is.
        """
        tool = invocation.tool
        program = [str(self.venv(tool) / "bin/python"), str(tool.folder.resolve() / "tool.py")]
        folders = ["--data", "data", "--inputs", "in", "--weights", "weights", "--out", str(invocation.out.resolve())]
        return [*program, *invocation.arguments, *folders]


def _link_paths(paths: dict[str, Path], scratch: Path) -> None:
    """Make links to the files that a tool may read."""
    for target, source in paths.items():
        link = scratch / target.removeprefix("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(source)


def _clean_environment(venv: Path, scratch: Path) -> dict[str, str]:
    """The variables that an image would set, and none of the caller's: no PYTHONPATH, LD_LIBRARY_PATH or TOOL_*."""
    temporary = scratch / "tmp"
    temporary.mkdir()
    return {
        "PATH": f"{venv / 'bin'}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": str(temporary),
        "LOGNAME": "tool",  # any user id may come, and MONAI asks for the name that belongs to it
        "TMPDIR": str(temporary),
        "PYTHONNOUSERSITE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **{name: str(temporary / folder) for name, folder in CACHES.items()},
    }


def _run_variables(invocation: Invocation) -> dict[str, str]:
    return {
        **thread_environment(invocation),
        "TOOL_REVISION": git_revision(invocation.tool),
        "TOOL_UNRESTRICTED": UNRESTRICTED,
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # the order of nvidia-smi, and so of the leases
        "CUDA_VISIBLE_DEVICES": ",".join(map(str, invocation.gpus)),
    }


def _venvs_folder(tool: Tool) -> Path:
    from_user = os.environ.get("COORDINATOR_VENVS")
    return Path(from_user).resolve() if from_user else tool.folder.resolve().parents[1] / ".venvs"


def _build_stamp(tool: Tool) -> str:
    return dependencies_digest(tool, sys.executable, sys.version)


def _python_version(venv: Path) -> str:
    """Version of an environment's Python, from its pyvenv.cfg."""
    return statefiles.require(
        venv / "pyvenv.cfg",
        _parse_version,
        f"remove {venv}, then `coordinator tool build --runtime process {venv.name}`",
    )


def _parse_version(content: bytes) -> str:
    lines = content.decode("utf-8").splitlines()
    pairs = dict(line.split(" = ", 1) for line in lines if " = " in line)
    return pairs.get("version_info") or pairs["version"]


@contextmanager
def _lock_build(venv: Path) -> Iterator[None]:
    venv.parent.mkdir(parents=True, exist_ok=True)
    file = venv.with_name(f".{venv.name}.lock")
    with file.open("w") as stream:
        lock(stream.fileno(), file, wait=True)
        yield


def _make_environment(tool: Tool, venv: Path, contract: Path) -> None:
    """Make an environment: locked packages, whose hashes are checked, then the contract library."""
    python = str(venv / "bin/python")
    own_uv = _venvs_folder(tool) / "uv/bin/uv"
    uv = str(own_uv) if own_uv.is_file() else shutil.which("uv")
    if uv:
        _install(tool, [uv, "venv", "--quiet", "--python", sys.executable, str(venv)])
        install = [uv, "pip", "install", "--python", python]
    else:
        _install(tool, [sys.executable, "-m", "venv", str(venv)])
        install = [python, "-m", "pip", "install"]
    locks = [tool.folder / "requirements.lock", *_torch_lock(tool, install)]
    _install(tool, [*install, "--require-hashes", *(word for lock in locks for word in ("--requirement", str(lock)))])
    if (nodeps := tool.folder / "requirements-nodeps.lock").is_file():
        _install(tool, [*install, "--require-hashes", "--no-deps", "--requirement", str(nodeps)])
    # What builds our own package has a hash too; an installer would fetch it without one.
    setuptools = str(contract.with_name("setuptools"))
    lock = str(contract / "requirements-build.lock")
    _install(tool, [*install, "--target", setuptools, "--require-hashes", "--requirement", lock])
    own = [*install, "--no-index", "--no-build-isolation", "--no-deps", str(contract)]
    _install(tool, own, {"PYTHONPATH": setuptools})


def _torch_lock(tool: Tool, install: list[str]) -> list[Path]:
    """The lock of torch's CPU build where $PIP_FIND_LINKS has that, else of its CUDA build; as in the Dockerfile."""
    cpu = tool.folder / "requirements-cpu.lock"
    if not cpu.is_file():
        return []
    torch = next(word for word in cpu.read_text(encoding="utf-8").split() if word.startswith("torch=="))
    try_it = [*install, "-qqq", "--dry-run", "--no-index", "--no-deps", torch]
    has_it = subprocess.run(try_it, env=_environment_of_installers(), capture_output=True, check=False).returncode == 0
    return [cpu if has_it else tool.folder / "requirements-cuda.lock"]


def _install(tool: Tool, command: list[str], more: Mapping[str, str] | None = None) -> None:
    try:
        subprocess.run(command, env=_environment_of_installers() | dict(more or {}), check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UsageError(f"{tool.folder}: environment must build, but: {error}; the reason is printed above") from None


def _environment_of_installers() -> dict[str, str]:
    """The caller's, without those that lead elsewhere; a folder of wheels that pip knows is uv's too."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_LEADING_ASTRAY)}
    links = {"UV_FIND_LINKS": kept["PIP_FIND_LINKS"]} if kept.get("PIP_FIND_LINKS") else {}
    return links | kept
