"""`docker compose run`, as a user types it."""

import os
import subprocess
from pathlib import Path

import docker
import pytest
from conftest import ROOT

from contract.volumes import read_image, read_labels
from coordinator.runners.docker import DockerRunner
from coordinator.tools import find_tool

pytestmark = [pytest.mark.docker, pytest.mark.samples]
STRANGER = 12345


@pytest.fixture
def compose(engine: docker.DockerClient, samples: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of a user of another id, with folders of their own."""
    DockerRunner().identity(find_tool("medsam"))  # `make images` was run
    for name in ("out", "weights", "inputs"):
        (tmp_path / name).mkdir()
        os.chown(tmp_path / name, STRANGER, STRANGER)
    for folder in tmp_path.parents:
        if folder.stat().st_mode & 0o5 != 0o5:
            folder.chmod(0o755)
    return {
        **os.environ, "HOST_UID": str(STRANGER), "HOST_GID": str(STRANGER), "DATA": str(samples / "datasets"),
        "OUT": str(tmp_path / "out"), "WEIGHTS": str(tmp_path / "weights"), "INPUTS": str(tmp_path / "inputs"),
    }  # fmt: skip


def run(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = ["docker", "compose", "run", "--rm", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_medsam_runs_as_any_user_on_real_ct_and_its_files_are_the_users(
    compose: dict[str, str], samples: Path, tmp_path: Path
) -> None:
    done = run(compose, "medsam", "--dataset", "tsmini", "--cases", "ts_b")

    results = tmp_path / "out" / "tsmini" / "medsam-lite"
    assert done.returncode == 0, done.stderr
    image = read_image(samples / "datasets" / "tsmini" / "images" / "ts_b.nii.gz")
    assert read_labels(results / "ts_b.nii.gz", image, range(1, 14)).any()
    assert {path.stat().st_uid for path in (tmp_path / "out").rglob("*")} == {STRANGER}


def test_a_dataset_without_labels_is_a_clear_error(compose: dict[str, str]) -> None:
    done = run(compose, "medsam", "--dataset", "crlm")

    assert done.returncode == 2
    assert "medsam needs labels, but this dataset has none" in done.stdout + done.stderr


def test_without_a_user_id_compose_says_what_to_do(compose: dict[str, str]) -> None:
    del compose["HOST_UID"]

    done = run({**compose, "COMPOSE_DISABLE_ENV_FILE": "1"}, "medsam", "--dataset", "tsmini")

    assert done.returncode != 0
    assert "make .env" in done.stderr


def test_the_container_has_no_network_and_a_read_only_root(compose: dict[str, str]) -> None:
    program = "import socket; open('/app/x', 'w')"
    read_only = run(compose, "--entrypoint", "/opt/venv/bin/python", "medsam", "-c", program)
    program = "import socket; socket.create_connection(('192.0.2.1', 9), 3)"
    no_network = run(compose, "--entrypoint", "/opt/venv/bin/python", "medsam", "-c", program)

    assert "Read-only file system" in read_only.stdout + read_only.stderr
    assert "Network is unreachable" in no_network.stdout + no_network.stderr
