"""What a container may do and read, as settings for the Docker SDK and as a `docker run` or `podman run` line."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docker import DockerClient
from docker.models.containers import Container
from docker.types import DeviceRequest, LogConfig, Mount

from contract.manifest import Resources
from coordinator.runners import Invocation
from coordinator.runners.csvvalues import csv_value
from coordinator.runners.engines import Engine
from coordinator.runners.view import readable_paths, thread_environment

TMP = "/tmp"  # noqa: S108 - inside the container
"""The scratch folder, a tmpfs."""
NO_NEW_PRIVILEGES = "no-new-privileges"
_USUAL = Resources()


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Everything about a container except its arguments and labels.

    Attributes:
        image: id or name.
        engine: what it runs in.
        name: of the container; empty for any name.
        shm_mb: size of /dev/shm.
        tmp_mb: size of the scratch folder, which is memory of the machine: without one it could fill half of it.
        processes: most processes and threads at once; without a bound, a fork bomb takes the machine's.
        readable: path in the container -> file or folder of this machine, read-only.
        writable: path in the container -> folder of this machine, for results.
        environment: variables.
        gpus: indices of GPUs.
    """

    image: str
    engine: Engine
    name: str = ""
    shm_mb: int = _USUAL.shm_mb
    tmp_mb: int = _USUAL.tmp_mb
    processes: int = _USUAL.processes
    readable: Mapping[str, Path] = field(default_factory=dict)
    writable: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    gpus: tuple[int, ...] = ()

    def create_container(
        self, client: DockerClient, arguments: tuple[str, ...], labels: Mapping[str, str]
    ) -> Container:
        """Create the container without starting it."""
        return client.containers.create(**self.container_settings(arguments), labels=dict(labels))

    def container_settings(self, arguments: tuple[str, ...]) -> dict[str, Any]:
        """The arguments of the SDK's `create`."""
        # In Docker a mount of type bind fails if its source is missing; a volume would make a folder instead. Podman
        # makes one here too, but what is missing was refused before (`view`).
        mounts = [Mount(to, str(source), type="bind", read_only=True) for to, source in self.readable.items()]
        mounts += [Mount(to, str(source), type="bind") for to, source in self.writable.items()]
        devices = [DeviceRequest(device_ids=[str(gpu) for gpu in self.gpus], capabilities=[["gpu"]])]
        return {
            "image": self.image, "command": list(arguments), "name": self.name or None, "init": True,
            "user": self.engine.user, "userns_mode": self.engine.user_namespace or None,
            "network_mode": "none", "read_only": True, "cap_drop": ["ALL"],
            "security_opt": [NO_NEW_PRIVILEGES], "tmpfs": {TMP: tmp_options(self.tmp_mb)},
            "shm_size": f"{self.shm_mb}m", "pids_limit": self.processes, "environment": dict(self.environment),
            "mounts": mounts, "device_requests": devices if self.gpus else None,
            # Not the engine's default, since the output must be readable again from its first byte.
            "log_config": LogConfig(type="json-file"),
        }  # fmt: skip

    def command_line(self, arguments: tuple[str, ...]) -> str:
        """The `docker run` or `podman run` line that does the same, quoted for a shell."""
        words = [*self.engine.command, "run", "--rm", "--init", *(["--name", self.name] if self.name else [])]
        words += ["--userns", self.engine.user_namespace] if self.engine.user_namespace else []
        words += ["--user", self.engine.user, "--network", "none", "--read-only", "--cap-drop", "ALL"]
        words += [
            "--security-opt",
            NO_NEW_PRIVILEGES,
            "--tmpfs",
            f"{TMP}:{tmp_options(self.tmp_mb)}",
            "--shm-size",
            f"{self.shm_mb}m",
            "--pids-limit",
            str(self.processes),
        ]
        for name, value in self.environment.items():
            words += ["--env", f"{name}={value}"]
        for to, source in self.readable.items():
            words += ["--mount", csv_value("type=bind", f"source={source}", f"target={to}", "readonly")]
        for to, source in self.writable.items():
            words += ["--mount", csv_value("type=bind", f"source={source}", f"target={to}")]
        if self.gpus:
            words += ["--gpus", csv_value("device=" + ",".join(map(str, self.gpus)))]
        return shlex.join([*words, self.image, *arguments])


def make_sandbox(invocation: Invocation, image_id: str, engine: Engine) -> Sandbox:
    """Make the sandbox of an invocation."""
    unrestricted = {"TOOL_UNRESTRICTED": engine.unrestricted} if engine.unrestricted else {}
    resources = invocation.tool.manifest.resources
    return Sandbox(
        image=image_id,
        engine=engine,
        name=invocation.name,
        shm_mb=resources.shm_mb,
        tmp_mb=resources.tmp_mb,
        processes=resources.processes,
        readable=readable_paths(invocation),
        writable={"/out": invocation.out.resolve()},
        environment=thread_environment(invocation) | {"TOOL_IMAGE_ID": image_id} | unrestricted,
        gpus=invocation.gpus,
    )


def tmp_options(size_mb: int) -> str:
    """Options of the scratch folder; compiled kernels (numba, inductor) are loaded from there, hence `exec`."""
    return f"exec,mode=1777,size={size_mb}m"
