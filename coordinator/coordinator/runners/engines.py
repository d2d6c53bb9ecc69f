"""What answers for Docker: Docker itself or Podman, of the machine or of one user; and what follows for containers.

A rootless engine maps user ids. Root of a container is the user whose engine it is, and can do no more than that user;
every other id is a subordinate one, whose files that user could not even remove. So a container runs as root there,
without capabilities as everywhere. Podman's `keep-id` would give the caller its own id in the container too, but the
SDK refuses the word, and Docker does not have it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from docker import DockerClient

PODMAN = "Podman Engine"
"""How Podman calls itself among the components of its version."""
DEFAULT_ADDRESS = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine of containers; by default, the machine's Docker.

    Attributes:
        command: words that begin a command for it.
        is_rootless: whether root of a container is an ordinary user of this machine.
        bounds_processes: whether it can bound how many processes a container has.
    """

    command: tuple[str, ...] = ("docker",)
    is_rootless: bool = False
    bounds_processes: bool = True

    @property
    def is_podman(self) -> bool:
        """Whether it is Podman."""
        return self.command[0] == "podman"

    @property
    def user(self) -> str:
        """The user and group of a container whose files are the caller's."""
        return "0:0" if self.is_rootless else f"{os.getuid()}:{os.getgid()}"

    @property
    def user_namespace(self) -> str:
        """The namespace in which `user` is the caller, whatever containers.conf says; empty for the engine's own."""
        return "host" if self.is_rootless and self.is_podman else ""

    @property
    def unrestricted(self) -> str:
        """What `run.json` says that a container is not restricted in; empty for nothing."""
        return "" if self.bounds_processes else "the number of processes, which a rootless engine can't bound here"


def read_engine(client: DockerClient) -> Engine:
    """Ask an engine what it is."""
    return identify_engine(client.info(), client.version(), os.environ.get("DOCKER_HOST") or DEFAULT_ADDRESS)


def identify_engine(info: Mapping[str, Any], version: Mapping[str, Any], address: str) -> Engine:
    """Find out what an engine is from its answers to `docker info` and `docker version`, and where it answers."""
    is_podman = any(component["Name"] == PODMAN for component in version.get("Components") or [])
    # Docker lists it among its security options; Podman 4 has a field of its own instead.
    is_rootless = bool(info.get("Rootless")) or "name=rootless" in (info.get("SecurityOptions") or [])
    # Podman says that it has the bound in version 1 of cgroups too, but ignores it for an ordinary user.
    is_unable = is_podman and is_rootless and info.get("CgroupVersion") == "1"
    return Engine(
        command=("podman", "--url", address) if is_podman else ("docker",),
        is_rootless=is_rootless,
        bounds_processes=bool(info.get("PidsLimit", True)) and not is_unable,
    )
