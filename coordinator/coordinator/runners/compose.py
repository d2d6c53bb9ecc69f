"""compose.yaml and compose.gpu.yaml, generated from the manifests: `docker compose run --rm medsam --dataset word`.

A service has the same mounts and the same restrictions as a container that the coordinator starts, but sees all of
the data folder.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import yaml

from contract.errors import UsageError
from coordinator.runners.docker import build_arguments, image_name
from coordinator.runners.sandbox import NO_NEW_PRIVILEGES, TMP, TMP_OPTIONS
from coordinator.runners.view import thread_variables
from coordinator.tools.finding import Tool

FILE, GPU_FILE = "compose.yaml", "compose.gpu.yaml"
USER = "${HOST_UID:?run `make .env` first}:${HOST_GID:?run `make .env` first}"
"""Results belong to the caller; without the variables nothing starts, rather than writing as another user."""

_HEADER = """\
# Generated from the manifests by `coordinator tool compose`; don't edit.
#
#   make .env                                                   once: HOST_UID, HOST_GID, COMPOSE_FILE
#   docker compose build medsam
#   DATA=/my/datasets docker compose run --rm medsam --dataset word
#
# DATA, OUT, WEIGHTS and INPUTS name folders here; BASE another base image; REVISION the git commit for the label.
# Links in DATA must not lead out of it: a container can't follow them there.
"""
_GPU_HEADER = """\
# Generated from the manifests by `coordinator tool compose`; don't edit.
#
# Gives the tools that can use one a GPU ($GPU is its index, 0 by default): `make .env` adds this file to COMPOSE_FILE
# where `nvidia-smi` works.
"""


def render(tools: Iterable[Tool], containers: str = "./containers") -> str:
    """Text of compose.yaml.

    Args:
        tools: one service each.
        containers: the build context, from where the file lies.
    """
    services = {tool.name: _service(tool, containers) for tool in tools}
    return f"{_HEADER}{_yaml({'name': 'label-quality', 'services': services})}"


def render_gpu(tools: Iterable[Tool]) -> str:
    """Text of compose.gpu.yaml."""
    device = {"driver": "nvidia", "device_ids": ["${GPU:-0}"], "capabilities": ["gpu"]}
    service = {"deploy": {"resources": {"reservations": {"devices": [device]}}}}
    return _GPU_HEADER + _yaml(
        {"services": {tool.name: service for tool in tools if tool.manifest.resources.gpu != "none"}}
    )


def pinned_base(tool: Tool) -> str:
    """The base image that a tool's Dockerfile names as its default.

    Raises:
        UsageError: it names none.
    """
    file = tool.folder / "Dockerfile"
    try:
        found = re.search(r"^ARG BASE=(\S+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError as error:
        raise UsageError(f"{file}: file must be readable, but: {error.strerror}") from None
    if found is None:
        raise UsageError(f"{file}: must have a line `ARG BASE=<image>@sha256:<digest>` before FROM, but has none")
    return found[1]


def write(tools: Iterable[Tool], folder: Path) -> list[Path]:
    """Write both files and return their paths."""
    listed = list(tools)
    files = {folder / FILE: render(listed), folder / GPU_FILE: render_gpu(listed)}
    for file, text in files.items():
        file.write_text(text, encoding="utf-8")
    return list(files)


def _service(tool: Tool, containers: str) -> dict[str, object]:
    resources = tool.manifest.resources
    build_args = {
        "BASE": f"${{BASE:-{pinned_base(tool)}}}",
        **build_arguments(tool),
        "REVISION": "${REVISION:-unknown}",
    }
    return {
        "image": image_name(tool),
        "build": {"context": containers, "dockerfile": f"{tool.folder.name}/Dockerfile", "args": build_args},
        "init": True,
        "user": USER,
        "network_mode": "none",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": [NO_NEW_PRIVILEGES],
        "tmpfs": [f"{TMP}:{TMP_OPTIONS}"],
        "shm_size": f"{resources.shm_mb}m",
        "environment": thread_variables(str(resources.cpus)),
        "volumes": [
            _bind("${DATA:-./data}", "/data"),
            _bind("${OUT:-./out}", "/out", read_only=False),
            _bind("${WEIGHTS:-./weights}", "/weights"),
            _bind("${INPUTS:-./inputs}", "/in"),
        ],
    }


def _bind(source: str, target: str, *, read_only: bool = True) -> dict[str, object]:
    """A folder of the host; where it is missing, compose says so instead of making it, owned by root."""
    mount: dict[str, object] = {"type": "bind", "source": source, "target": target}
    return mount | ({"read_only": True} if read_only else {}) | {"bind": {"create_host_path": False}}


class _Plain(yaml.SafeDumper):
    """YAML without anchors: each service stands for itself."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _yaml(content: object) -> str:
    return yaml.dump(content, Dumper=_Plain, sort_keys=False, width=200, allow_unicode=True)
