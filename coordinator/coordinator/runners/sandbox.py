"""What a container may do and see: said once, given to the SDK, and written as a `docker run` line for people."""

import csv
import io
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docker import DockerClient
from docker.models.containers import Container
from docker.types import DeviceRequest, LogConfig, Mount

from coordinator.runners import Invocation
from coordinator.runners.view import readable, thread_environment

TMP, TMP_OPTIONS = "/tmp", "exec,mode=1777"  # noqa: S108 - inside the container
"""The scratch folder, a tmpfs; compiled kernels (numba, inductor) are loaded from there, hence `exec`."""
NO_NEW_PRIVILEGES = "no-new-privileges"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Everything about a container but its arguments and labels.

    Attributes:
        image: id or name.
        name: of the container; empty for any.
        shm_mb: size of /dev/shm.
        readable: path inside -> file or folder here.
        writable: the same, for results.
        environment: variables.
        gpus: indices of devices.
    """

    image: str
    name: str = ""
    shm_mb: int = 64
    readable: Mapping[str, Path] = field(default_factory=dict)
    writable: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    gpus: tuple[int, ...] = ()

    def container(self, client: DockerClient, arguments: tuple[str, ...], labels: Mapping[str, str]) -> Container:
        """Make the container; it is not started yet."""
        return client.containers.create(**self.settings(arguments), labels=dict(labels))

    def settings(self, arguments: tuple[str, ...]) -> dict[str, Any]:
        """What the SDK's `create` is given."""
        # A mount of type bind, unlike a volume, fails where its source is missing, rather than making a folder.
        mounts = [Mount(to, str(source), type="bind", read_only=True) for to, source in self.readable.items()]
        mounts += [Mount(to, str(source), type="bind") for to, source in self.writable.items()]
        devices = [DeviceRequest(device_ids=[str(gpu) for gpu in self.gpus], capabilities=[["gpu"]])]
        return {
            "image": self.image, "command": list(arguments), "name": self.name or None, "init": True, "user": _user(),
            "network_mode": "none", "read_only": True, "cap_drop": ["ALL"], "security_opt": [NO_NEW_PRIVILEGES],
            "tmpfs": {TMP: TMP_OPTIONS}, "shm_size": f"{self.shm_mb}m", "environment": dict(self.environment),
            "mounts": mounts, "device_requests": devices if self.gpus else None,
            # Whatever the engine's default is: the output must be readable again from its first byte.
            "log_config": LogConfig(type="json-file"),
        }  # fmt: skip

    def command_line(self, arguments: tuple[str, ...]) -> str:
        """The `docker run` line that does the same, quoted for a shell."""
        words = ["docker", "run", "--rm", "--init", *(["--name", self.name] if self.name else [])]
        words += ["--user", _user(), "--network", "none", "--read-only", "--cap-drop", "ALL"]
        words += [
            "--security-opt",
            NO_NEW_PRIVILEGES,
            "--tmpfs",
            f"{TMP}:{TMP_OPTIONS}",
            "--shm-size",
            f"{self.shm_mb}m",
        ]
        for name, value in self.environment.items():
            words += ["--env", f"{name}={value}"]
        for to, source in self.readable.items():
            words += ["--mount", _csv("type=bind", f"source={source}", f"target={to}", "readonly")]
        for to, source in self.writable.items():
            words += ["--mount", _csv("type=bind", f"source={source}", f"target={to}")]
        if self.gpus:
            words += ["--gpus", _csv("device=" + ",".join(map(str, self.gpus)))]
        return shlex.join([*words, self.image, *arguments])


def sandbox_of(invocation: Invocation, image_id: str) -> Sandbox:
    """The container that an invocation asks for."""
    return Sandbox(
        image=image_id,
        name=invocation.name,
        shm_mb=invocation.tool.manifest.resources.shm_mb,
        readable=readable(invocation),
        writable={"/out": invocation.out.resolve()},
        environment=thread_environment(invocation) | {"TOOL_IMAGE_ID": image_id},
        gpus=invocation.gpus,
    )


def _user() -> str:
    return f"{os.getuid()}:{os.getgid()}"


def _csv(*parts: str) -> str:
    """One value of a `docker run` option that is read as a line of CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(parts)
    return text.getvalue()
