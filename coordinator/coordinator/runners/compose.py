"""compose.yaml and compose.gpu.yaml, generated from the manifests: `docker compose run --rm medsam --dataset word`.

A service has the same mounts and the same restrictions as a container that the coordinator starts, but sees all of
the data folder.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import jinja2

from contract import atomic
from contract.errors import UsageError
from contract.manifest import Resources
from coordinator.runners.docker import BASE, SOURCES, build_arguments, image_name
from coordinator.runners.sandbox import NO_NEW_PRIVILEGES, TMP, tmp_options
from coordinator.runners.toolsources import dockerfile, image_digest
from coordinator.runners.view import thread_variables
from coordinator.tools.finding import Tool

FILE, GPU_FILE = "compose.yaml", "compose.gpu.yaml"
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent), undefined=jinja2.StrictUndefined, keep_trailing_newline=True,
    autoescape=False,  # noqa: S701 - none of it is HTML
)  # fmt: skip


def render(tools: Iterable[Tool], containers: str = "./containers") -> str:
    """Text of compose.yaml.

    Args:
        tools: one service each.
        containers: the build context, from where the file lies.
    """
    listed, usual = list(tools), Resources()
    base = pinned_base(listed[0]) if listed else ""
    return _TEMPLATES.get_template(f"{FILE}.j2").render(
        services=[_service(tool, base) for tool in listed], containers=containers, base=base,
        shm_mb=usual.shm_mb, threads=thread_variables(str(usual.cpus)),
        no_new_privileges=NO_NEW_PRIVILEGES, tmpfs=_tmpfs(usual), processes=usual.processes,
    )  # fmt: skip


def render_gpu(tools: Iterable[Tool]) -> str:
    """Text of compose.gpu.yaml."""
    names = [tool.name for tool in tools if tool.manifest.resources.gpu != "none"]
    return _TEMPLATES.get_template(f"{GPU_FILE}.j2").render(names=names)


def pinned_base(tool: Tool) -> str:
    """The base image that a tool's Dockerfile names as its default.

    Raises:
        UsageError: it names none.
    """
    file = dockerfile(tool)
    try:
        line = re.search(r"^ARG BASE=(\S+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError as error:
        raise UsageError(f"{file}: file must be readable, but: {error.strerror}") from None
    if line is None:
        raise UsageError(f"{file}: must have a line `ARG BASE=<image>@sha256:<digest>` before FROM, but has none")
    return line[1]


def write(tools: Iterable[Tool], folder: Path) -> list[Path]:
    """Write both files and return their paths."""
    listed = list(tools)
    files = {folder / FILE: render(listed), folder / GPU_FILE: render_gpu(listed)}
    for file, text in files.items():
        atomic.write_text(file, text)
    return list(files)


def _service(tool: Tool, usual_base: str) -> dict[str, object]:
    """What a tool's service sets in addition to what all services share."""
    file, base, resources = dockerfile(tool), pinned_base(tool), tool.manifest.resources
    return {
        "name": tool.name,
        "image": image_name(tool),
        "dockerfile": f"{tool.folder.name}/{file.name}" if file.parent == tool.folder else None,
        "args": build_arguments(tool) | ({"BASE": f"${{BASE:-{base}}}"} if base != usual_base else {}),
        "labels": {SOURCES: image_digest(tool), BASE: "${BASE:-default}"},
        "shm_mb": resources.shm_mb,
        "tmpfs": _tmpfs(resources),
        "processes": resources.processes,
        "threads": thread_variables(str(resources.cpus)),
    }


def _tmpfs(resources: Resources) -> str:
    return f"{TMP}:{tmp_options(resources.tmp_mb)}"
