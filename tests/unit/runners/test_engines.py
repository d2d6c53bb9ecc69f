"""Whose files a container writes depends on the engine; the answers are those of real engines, shortened."""

import os
from typing import Any

import pytest

from coordinator.runners.engines import Engine, identify_engine
from coordinator.runners.sandbox import Sandbox

ADDRESS = "unix:///run/user/1000/podman/podman.sock"
DOCKER = {"Components": [{"Name": "Engine", "Version": "20.10.24+dfsg1"}, {"Name": "containerd", "Version": "1.6.20"}]}
PODMAN = {"Components": [{"Name": "Podman Engine", "Version": "4.3.1"}, {"Name": "Conmon", "Version": "2.1.6"}]}
ROOTLESS = Engine(("podman", "--url", ADDRESS), is_rootless=True)
CALLER = f"{os.getuid()}:{os.getgid()}"


@pytest.mark.parametrize(
    ("version", "info", "expected"),
    [
        (
            DOCKER,
            {"SecurityOptions": ["name=seccomp,profile=default"], "CgroupVersion": "1", "PidsLimit": True},
            Engine(),
        ),
        (
            DOCKER,
            {"SecurityOptions": ["name=seccomp,profile=default", "name=rootless"], "PidsLimit": False},
            Engine(is_rootless=True, bounds_processes=False),
        ),
        (
            PODMAN,
            {"SecurityOptions": ["name=seccomp,profile=default"], "Rootless": False, "CgroupVersion": "1", "PidsLimit": True},
            Engine(("podman", "--url", ADDRESS)),
        ),
        (
            PODMAN,
            {"SecurityOptions": ["name=seccomp,profile=default"], "Rootless": True, "CgroupVersion": "1", "PidsLimit": True},
            Engine(("podman", "--url", ADDRESS), is_rootless=True, bounds_processes=False),
        ),
        (PODMAN, {"SecurityOptions": None, "Rootless": True, "CgroupVersion": "2", "PidsLimit": True}, ROOTLESS),
        ({}, {}, Engine()),
    ],
    ids=["Docker", "rootless Docker", "Podman of root", "rootless Podman", "rootless Podman, cgroups 2", "old Docker"],
)  # fmt: skip
def test_an_engine_is_known_by_its_answers(version: dict[str, Any], info: dict[str, Any], expected: Engine):
    assert identify_engine(info, version, ADDRESS) == expected


@pytest.mark.parametrize(
    ("engine", "user", "namespace"),
    [
        (Engine(), CALLER, None),
        (Engine(is_rootless=True), "0:0", None),
        (Engine(("podman", "--url", ADDRESS)), CALLER, None),
        (ROOTLESS, "0:0", "host"),
    ],
    ids=["Docker", "rootless Docker", "Podman of root", "rootless Podman"],
)
def test_a_container_runs_as_who_is_the_caller_outside(engine: Engine, user: str, namespace: str | None):
    settings = Sandbox("image", engine).container_settings(())

    assert (settings["user"], settings["userns_mode"], settings["cap_drop"]) == (user, namespace, ["ALL"])


def test_the_printed_line_is_one_for_the_engine_that_answered():
    docker, podman = (Sandbox("image", engine).command_line(("describe",)) for engine in (Engine(), ROOTLESS))

    assert docker.startswith(f"docker run --rm --init --user {CALLER} --network none ")
    assert podman.startswith(f"podman --url {ADDRESS} run --rm --init --userns host --user 0:0 --network none ")
