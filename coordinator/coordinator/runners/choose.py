"""Chooses the runner that starts the tools of a study."""

from collections.abc import Collection

from contract.errors import UsageError
from coordinator.runners import Runner
from coordinator.runners.docker import DockerRunner
from coordinator.runners.process import ProcessRunner
from coordinator.tools.finding import Tool


def make_runner(runtime: str) -> Runner:
    """Make the runner of a runtime.

    Raises:
        UsageError: no runtime has that name.
    """
    match runtime:
        case "docker":
            return DockerRunner()
        case "process":
            return ProcessRunner()
        case _:
            raise UsageError(f"runtime must be docker or process, but it is {runtime!r}")


def choose_runner(runtime: str, tools: Collection[Tool]) -> Runner:
    """Make the requested runner; for "auto", Docker if an engine has the image of every tool, else processes.

    Raises:
        UsageError: the runtime is "auto", but the tools are built for neither.
    """
    if runtime != "auto":
        return make_runner(runtime)
    for candidate in (DockerRunner(), ProcessRunner()):
        try:
            for tool in tools:
                candidate.code_id(tool)
        except UsageError as error:
            problem = error
            continue
        return candidate
    raise problem
