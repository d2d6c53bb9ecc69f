"""compose.yaml and compose.gpu.yaml are what the manifests say."""

import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import yaml

from coordinator.runners import compose
from coordinator.tools.finding import Tool, find_tools

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(("file", "render"), [(compose.FILE, compose.render), (compose.GPU_FILE, compose.render_gpu)])
def test_the_committed_file_is_what_the_manifests_give(file: str, render: Callable[[Iterable[Tool]], str]):
    text = (ROOT / file).read_text(encoding="utf-8")

    assert text == render(find_tools(ROOT / "containers").values()), "run `coordinator tool compose`"


def test_a_service_is_as_locked_down_as_a_run(probe: Tool):
    service = yaml.safe_load(compose.render([probe]))["services"]["probe"]

    assert service["image"] == "label-quality/probe:0.1.0"
    assert (service["read_only"], service["network_mode"], service["cap_drop"]) == (True, "none", ["ALL"])
    assert service["security_opt"] == ["no-new-privileges"]
    assert service["shm_size"] == "96m"
    assert {mount["target"]: mount.get("read_only", False) for mount in service["volumes"]} == {
        "/data": True, "/out": False, "/weights": True, "/in": True,
    }  # fmt: skip
    assert all(mount["bind"] == {"create_host_path": False} for mount in service["volumes"])
    assert service["build"]["args"]["BASE"].startswith("${BASE:-python:3.11-slim-bookworm@sha256:")


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
