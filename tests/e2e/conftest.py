"""A small study that several tests look at: it is run once."""

import subprocess
from pathlib import Path

import pytest
from helpers.studies import SMALL, run_coordinator

from coordinator.datasets.phantom import make_phantom


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study file on a phantom of five small cases, one of them broken."""
    folder = tmp_path_factory.mktemp("study")
    make_phantom(folder / "data" / "phantom", cases=5, shape=(32, 28, 12))
    broken = folder / "data" / "phantom" / "images" / "phantom_002.nii.gz"
    broken.write_bytes(broken.read_bytes()[:500])
    (folder / "study.yaml").write_text(SMALL)
    return folder / "study.yaml"


@pytest.fixture(scope="session")
def small_done(small: Path) -> "subprocess.CompletedProcess[str]":
    """`coordinator run` of the small study, at its end; the run folder is `runs/small` beside the study file."""
    return run_coordinator("run", small)
