"""Chooses the runner that starts the tools of a study."""

from collections.abc import Collection
from pathlib import Path

from contract.errors import UsageError
from coordinator.runners import Runner
from coordinator.runners.apptainer import ApptainerRunner
from coordinator.runners.docker import DockerRunner
from coordinator.runners.images import refuse_changed
from coordinator.runners.kubernetes.settings import NAME as KUBERNETES
from coordinator.runners.process import ProcessRunner
from coordinator.tools.finding import Tool

RUNTIMES: dict[str, type[Runner]] = {
    "docker": DockerRunner,
    "apptainer": ApptainerRunner,
    "process": ProcessRunner,
}
"""Name of a runtime of this machine -> its runner; `auto` takes the first that has every tool."""


def make_runner(runtime: str, run: Path | None = None) -> Runner:
    """Make the runner of a runtime.

    Args:
        runtime: of this machine, or kubernetes.
        run: the run folder whose steps it does; None where it does none.

    Raises:
        UsageError: no runtime has that name, or the run folder keeps no settings for it.
    """
    if runtime == KUBERNETES:
        from coordinator.runners.kubernetes.runner import KubernetesRunner  # its library takes a second to import
        from coordinator.runners.kubernetes.settings import read_settings

        return KubernetesRunner(read_settings(run) if run else None)
    if runtime not in RUNTIMES:
        raise UsageError(f"runtime must be one of {', '.join(RUNTIMES)}, but it is {runtime!r}")
    return RUNTIMES[runtime]()


def choose_runner(runtime: str, tools: Collection[Tool]) -> Runner:
    """Make the requested runner; for "auto", the first of Docker, Apptainer and processes that has every tool.

    Where any tool is a foreign image, all of them run in Docker.

    Raises:
        UsageError: the runtime is "auto", but the tools are built for none; or a foreign image can't be run: the
            runtime is another one, or the image is no longer the one that was added.
    """
    if runtime != KUBERNETES and any(tool.added for tool in tools):
        return _choose_for_images(runtime, tools)
    if runtime != "auto":
        return make_runner(runtime)
    for candidate in map(make_runner, RUNTIMES):
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
        if tool.added is not None and runtime not in {"auto", "docker"}:
            raise UsageError(
                f"image {tool.added.image}: needs the runtime docker, but it is {runtime}; choose docker, and build "
                "the images of the study's other tools with `coordinator tool build`"
            )
        if tool.added is not None:
            refuse_changed(runner, tool, tool.added)
    return runner
