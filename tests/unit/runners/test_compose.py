"""compose.yaml and compose.gpu.yaml are what the manifests say."""

import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from coordinator.runners import compose
from coordinator.runners.toolsources import image_digest
from coordinator.tools.finding import Tool, find_tools

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(("file", "render"), [(compose.FILE, compose.render), (compose.GPU_FILE, compose.render_gpu)])
def test_the_committed_file_is_what_the_manifests_give(file: str, render: Callable[[Iterable[Tool]], str]):
    text = (ROOT / file).read_text(encoding="utf-8")

    assert text == render(find_tools(ROOT / "containers").values()), "run `coordinator tool compose`"


def committed() -> dict[str, Any]:
    """The services of compose.yaml, anchors and merge keys resolved."""
    return yaml.safe_load((ROOT / compose.FILE).read_text(encoding="utf-8"))["services"]


@pytest.mark.parametrize("name", find_tools(ROOT / "containers"))
def test_every_service_is_locked_down(name: str):
    service, tool = committed()[name], find_tools(ROOT / "containers")[name]

    locks = {
        "init": True, "read_only": True, "network_mode": "none", "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "tmpfs": [f"/tmp:exec,mode=1777,size={tool.manifest.resources.tmp_mb}m"],  # noqa: S108
        "pids_limit": tool.manifest.resources.processes,
        "user": "${HOST_UID:?run `make .env` first}:${HOST_GID:?run `make .env` first}",
        "shm_size": f"{tool.manifest.resources.shm_mb}m",
    }  # fmt: skip
    assert {key: service[key] for key in locks} == locks
    assert set(service) == {*locks, "image", "build", "environment", "volumes"}
    assert set(service["environment"].values()) == {str(tool.manifest.resources.cpus)}
    assert {mount["target"]: mount.get("read_only", False) for mount in service["volumes"]} == {
        "/data": True, "/out": False, "/weights": True, "/in": True,
    }  # fmt: skip
    assert all(mount["bind"] == {"create_host_path": False} for mount in service["volumes"])


@pytest.mark.parametrize("name", find_tools(ROOT / "containers"))
def test_every_service_builds_its_own_tool(name: str):
    service, tool = committed()[name], find_tools(ROOT / "containers")[name]

    assert service["image"] == f"label-quality/{name}:{tool.manifest.version}"
    assert service["build"]["context"] == "./containers"
    labels = {"label-quality.sources": image_digest(tool), "label-quality.base": "${BASE:-default}"}
    assert service["build"]["labels"] == labels, "run `coordinator tool compose`"
    arguments = service["build"]["args"]
    assert (arguments["TOOL"], arguments["VERSION"]) == (name, tool.manifest.version)
    assert (arguments["LICENCES"], arguments["REVISION"]) == (tool.manifest.licence, "${REVISION:-unknown}")
    assert arguments["BASE"].startswith("${BASE:-python:3.11-slim-bookworm@sha256:")


def test_there_is_a_service_for_every_tool_and_one_screen_shows_them():
    assert list(committed()) == list(find_tools(ROOT / "containers"))
    assert len((ROOT / compose.FILE).read_text(encoding="utf-8").splitlines()) < 115


def test_a_tool_that_differs_says_so(probe: Tool, tmp_path: Path):
    folder = shutil.copytree(probe.folder.parent, tmp_path / "containers") / "probe"
    text = (folder.parent / "Dockerfile").read_text(encoding="utf-8")
    (folder / "Dockerfile").write_text(text.replace("ARG BASE=python:3.11", "ARG BASE=python:3.12"), encoding="utf-8")
    resources = probe.manifest.resources.model_copy(update={"cpus": 4, "tmp_mb": 2000, "processes": 99})
    other = Tool(folder, probe.manifest.model_copy(update={"resources": resources, "name": "other"}))

    services = yaml.safe_load(compose.render([probe, other]))["services"]

    assert "dockerfile" not in services["probe"]["build"]
    assert services["other"]["build"]["dockerfile"] == "probe/Dockerfile"
    assert services["other"]["build"]["args"]["BASE"].startswith("${BASE:-python:3.12-slim")
    assert set(services["other"]["environment"].values()) == {"4"}
    assert services["other"]["read_only"] is True
    assert (services["other"]["tmpfs"], services["other"]["pids_limit"]) == (["/tmp:exec,mode=1777,size=2000m"], 99)  # noqa: S108


def test_only_tools_that_can_use_a_gpu_get_one(probe: Tool):
    resources = probe.manifest.resources.model_copy(update={"gpu": "optional"})
    on_gpu = Tool(probe.folder, probe.manifest.model_copy(update={"resources": resources, "name": "other"}))

    services = yaml.safe_load(compose.render_gpu([probe, on_gpu]))["services"]

    assert list(services) == ["other"]
    device = services["other"]["deploy"]["resources"]["reservations"]["devices"][0]
    assert device == {"driver": "nvidia", "device_ids": ["${GPU:-0}"], "capabilities": ["gpu"]}


@pytest.mark.docker
@pytest.mark.skipif(shutil.which("docker") is None, reason="no docker command")
@pytest.mark.parametrize("files", [[compose.FILE], [compose.FILE, compose.GPU_FILE]], ids=["cpu", "gpu"])
def test_compose_accepts_the_files(files: list[str]):
    options = [part for file in files for part in ("--file", str(ROOT / file))]
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOST_UID": "12345", "HOST_GID": "54321"}

    done = subprocess.run(
        ["docker", "compose", *options, "config", "--quiet"], env=environment, capture_output=True, text=True
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.docker
@pytest.mark.skipif(shutil.which("docker") is None, reason="no docker command")
def test_without_a_user_nothing_starts_and_the_message_says_what_to_do(tmp_path: Path):
    shutil.copy(ROOT / compose.FILE, tmp_path)

    done = subprocess.run(
        ["docker", "compose", "config"],
        cwd=tmp_path, env={"PATH": "/usr/local/bin:/usr/bin:/bin"}, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode != 0
    assert "run `make .env` first" in done.stderr
