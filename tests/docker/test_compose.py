"""`docker compose run` with the committed compose.yaml, on real CT, as a user that no image knows."""

import os
import subprocess
from pathlib import Path

import docker
import nibabel as nib
import pytest
from helpers.standins import STANDINS

from coordinator.runners.docker import DockerRunner
from coordinator.tools.finding import find_tool

ROOT = Path(__file__).resolve().parents[2]
ROOT_USER = 0
STRANGER = 12345

pytestmark = [pytest.mark.docker, pytest.mark.samples]


def compose_run(
    samples: Path, folder: Path, *arguments: str, weights: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a service with results in a folder that belongs to the user that it runs as."""
    user = STRANGER if os.getuid() == ROOT_USER else os.getuid()
    (folder / "nothing").mkdir(exist_ok=True)
    (folder / "out").mkdir(exist_ok=True)
    os.chown(folder / "out", user, -1)
    named = {
        "HOST_UID": str(user), "HOST_GID": str(os.getgid()), "DATA": str(samples / "datasets"),
        "OUT": str(folder / "out"), "WEIGHTS": str(weights or folder / "nothing"), "INPUTS": str(folder / "nothing"),
    }  # fmt: skip
    return subprocess.run(
        ["docker", "compose", "--file", str(ROOT / "compose.yaml"), "run", "--rm", "--no-TTY", *arguments],
        env=os.environ | named, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("tool", "variant", "case"),
    [
        ("degrade", "errors", "ts_a"),
        pytest.param("medsam", "lite", "ts_b", marks=pytest.mark.long),
        pytest.param("stunet", "small", "ts_a", marks=pytest.mark.long),
        pytest.param("totalseg", "6mm", "ts_a", marks=pytest.mark.long),
    ],
)
def test_results_lie_on_the_images_grid_and_belong_to_the_caller(
    tool: str, variant: str, case: str, samples: Path, engine: docker.DockerClient, base_image: str, tmp_path: Path
):
    DockerRunner(base_image).build(find_tool(tool))

    arguments = (tool, "--variant", variant, "--dataset", "tsmini", "--cases", case)
    done = compose_run(samples, tmp_path, *arguments, weights=STANDINS)

    assert done.returncode == 0, done.stderr
    (result,) = (tmp_path / "out/tsmini").glob(f"*/{case}.nii.gz")
    image = nib.load(samples / f"datasets/tsmini/images/{case}.nii.gz")
    labels = nib.load(result)
    assert (labels.shape, labels.affine.tolist()) == (image.shape, image.affine.tolist())
    assert labels.get_fdata().any()
    owner = STRANGER if os.getuid() == ROOT_USER else os.getuid()
    assert {path.stat().st_uid for path in (tmp_path / "out").rglob("*")} == {owner}


def test_a_missing_data_folder_is_an_error_and_is_not_made(
    engine: docker.DockerClient, base_image: str, tmp_path: Path
):
    DockerRunner(base_image).build(find_tool("degrade"))

    done = compose_run(tmp_path / "nowhere", tmp_path, "degrade", "--dataset", "tsmini")

    assert done.returncode != 0
    assert "bind source path does not exist" in done.stderr
    assert not (tmp_path / "nowhere").exists()
