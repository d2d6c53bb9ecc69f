"""What tests share: the real CT samples, the Docker engine, a tool made for tests, and a tiny dataset."""

import os
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import docker
import nibabel as nib
import numpy as np
import pytest
from helpers.needs import skip_or_fail
from xdist.scheduler import LoadFileScheduling

from contract.errors import UsageError
from coordinator.runners.docker import DockerRunner
from coordinator.runners.sifs import find_apptainer
from coordinator.tools.finding import Tool, find_tool

ROOT = Path(__file__).resolve().parents[1]


class ByFile(LoadFileScheduling):
    """On several cores the tests of a file go to one worker; so do all that build images of one name or share a study.

    (`--dist loadgroup` would be for this, but xdist 3.8 and pytest 9.2 don't agree on what a test's id is.)
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "shared" if shares(ROOT / file) else file


@cache
def shares(file: Path) -> bool:
    """Whether a file has tests with a Docker engine, or with the study that several files look at."""
    return file.is_file() and re.search(r"\bmark\.docker\b|\bsmall_done\b", file.read_text()) is not None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile | None:
    """Take this scheduler in place of xdist's for `--dist loadfile`."""
    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def samples() -> Path:
    """Folder of the real CT samples; dataset folders are in `datasets` below it."""
    folder = (ROOT / os.environ.get("SAMPLES_DIR", "../shared/data")).resolve()
    if not (folder / "datasets").is_dir():
        skip_or_fail(f"{folder}: no CT samples; set SAMPLES_DIR")
    return folder


@pytest.fixture(scope="session")
def engine() -> docker.DockerClient:
    """A Docker engine that answers."""
    try:
        return DockerRunner().client
    except UsageError as error:
        skip_or_fail(str(error))


@pytest.fixture(scope="session")
def apptainer() -> str:
    """The program that runs SIF files."""
    try:
        return find_apptainer().path
    except UsageError as error:
        skip_or_fail(str(error))


@pytest.fixture(scope="session")
def base_image() -> str:
    """What images are built on in tests: $BASE where the pinned one can't be fetched."""
    return os.environ.get("BASE", "python:3.11-slim-bookworm")


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Tool:
    """The tool of tests/tools/probe, in a folder of tools with the contract library, as containers/ is one."""
    folder = tmp_path_factory.mktemp("checkout") / "containers"
    folder.mkdir()
    for file in ("Dockerfile", ".dockerignore"):
        shutil.copy(ROOT / "containers" / file, folder)
    for source in (ROOT / "containers/contract", ROOT / "tests/tools/probe"):
        shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return find_tool("probe", folder)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the dataset `tiny`: three random images with labels, on an oblique grid."""
    folder = tmp_path_factory.mktemp("data") / "tiny"
    random = np.random.default_rng(7)
    affine = np.array([[1.5, 0.3, 0, -9], [-0.3, 1.4, 0.1, 5], [0, -0.1, 2.5, 40], [0, 0, 0, 1]], np.float64)
    for name in ("a", "b", "c"):
        voxels = random.integers(-1000, 1000, (13, 11, 7), np.int16)
        for kind, array in (("images", voxels), ("labels", (voxels > 0).astype(np.uint8))):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array, affine), folder / kind / f"{name}.nii.gz")
    (folder / "dataset.yaml").write_text("name: tiny\nlabels: {1: liver}\n", encoding="utf-8")
    return folder.parent
