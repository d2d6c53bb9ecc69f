"""Chooses the runner that starts the tools of a study."""

from collections.abc import Collection

from contract.errors import UsageError
from coordinator.runners import Runner
from coordinator.runners.docker import DockerRunner
from coordinator.runners.images import refuse_changed
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

    Where any tool is a foreign image, all of them run in Docker.

    Raises:
        UsageError: the runtime is "auto", but the tools are built for neither; or a foreign image can't be run: the
            runtime is "process", or the image is no longer the one that was added.
    """
    if any(tool.added for tool in tools):
        return _choose_for_images(runtime, tools)
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


def _choose_for_images(runtime: str, tools: Collection[Tool]) -> DockerRunner:
    """The Docker runner, once every foreign image was compared with what is kept of it."""
    runner = DockerRunner()
    for tool in tools:
        if tool.added is not None and runtime == "process":
            raise UsageError(
                f"image {tool.added.image}: needs the runtime docker, but it is process; choose docker, and build the "
                "images of the study's other tools with `coordinator tool build`"
            )
        if tool.added is not None:
            refuse_changed(runner, tool, tool.added)
    return runner
