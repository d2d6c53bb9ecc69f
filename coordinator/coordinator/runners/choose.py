"""Which runner starts the tools of a study."""

from collections.abc import Collection

from contract.errors import UsageError
from coordinator.runners import Runner
from coordinator.runners.docker import DockerRunner
from coordinator.runners.process import ProcessRunner
from coordinator.tools.finding import Tool


def runner_of(runtime: str) -> Runner:
    """The runner of a runtime.

    Raises:
        UsageError: there is none of that name.
    """
    match runtime:
        case "docker":
            return DockerRunner()
        case "process":
            return ProcessRunner()
        case _:
            raise UsageError(f"runtime must be docker or process, but it is {runtime!r}")


def choose_runner(runtime: str, tools: Collection[Tool]) -> Runner:
    """The runner that was asked for; for "auto", Docker where an engine has the image of every tool, else processes.

    Raises:
        UsageError: "auto", and the tools are built for neither.
    """
    if runtime != "auto":
        return runner_of(runtime)
    for candidate in (DockerRunner(), ProcessRunner()):
        try:
            for tool in tools:
                candidate.identity(tool)
        except UsageError as error:
            problem = error
            continue
        return candidate
    raise problem
