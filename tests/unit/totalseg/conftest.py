"""A phantom patient stored in several ways, and the tool run on it with stand-in weights and a watched network."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.needs import find_tool_python
from helpers.standins import STANDINS
from numpy.typing import NDArray

from contract.datasets import Dataset, open_dataset
from contract.grids import Grid, inverse_orientation, orient, orient_grid
from contract.manifest import load_manifest
from contract.volumes import read_image, read_labels, write_image, write_labels
from coordinator.datasets import phantom
from coordinator.datasets.anatomy import LABELS, draw_case

ROOT = Path(__file__).resolve().parents[3]
TOOL = ROOT / "containers" / "totalseg"
SEED = 7
"""Not that of the phantoms which the stand-ins have learnt from."""
SHAPE = (96, 80, 24)
SPACING_MM = (3.2, 3.2, 6.0)

if str(TOOL) not in sys.path:
    sys.path.insert(0, str(TOOL))


@dataclass(frozen=True, slots=True)
class Done:
    """A run of the tool.

    Attributes:
        code: exit code.
        stderr: what it logged.
        folder: of the results.
        attempts: uses of the network and starts of processes, one line each.
    """

    code: int
    stderr: str
    folder: Path
    attempts: list[str]


Runner = Callable[..., Done]


@pytest.fixture(scope="session")
def python() -> Path:
    """The tool's own interpreter."""
    return find_tool_python("totalseg")


@pytest.fixture(scope="session")
def standins() -> Path:
    """The weights folder of the stand-ins."""
    return STANDINS


@pytest.fixture(scope="session")
def watched(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[list[str]], tuple[subprocess.CompletedProcess[str], list[str]]]:
    """Run a program of Python; gives back what it printed, and what it used the network and processes for."""

    def run(command: list[str]) -> tuple[subprocess.CompletedProcess[str], list[str]]:
        scratch = tmp_path_factory.mktemp("scratch")
        attempts = scratch / "attempts"
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(scratch), "TMPDIR": str(scratch), "MPLCONFIGDIR": str(scratch),
            "PYTHONPATH": str(Path(__file__).parent / "watched"), "PYTHONDONTWRITEBYTECODE": "1", "ATTEMPTS": str(attempts),
        }  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        return done, attempts.read_text(encoding="utf-8").splitlines() if attempts.exists() else []

    return run


@pytest.fixture(scope="session")
def run_tool(
    python: Path, watched: Callable[..., tuple[subprocess.CompletedProcess[str], list[str]]], patient: Dataset
) -> Runner:
    """Run the tool on the phantom."""

    def run(
        out: Path,
        *arguments: str,
        weights: Path = STANDINS,
        data: Path = patient.folder.parent,
        options: tuple[str, ...] = (),
    ) -> Done:
        folders = ["--data", str(data), "--out", str(out), "--weights", str(weights)]
        command = [str(python), *options, str(TOOL / "tool.py"), "--dataset", "patient", "--label-version", "result"]
        done, attempts = watched([*command, *folders, *arguments])
        return Done(done.returncode, done.stderr, out / "patient" / "result", attempts)

    return run


@pytest.fixture(scope="session")
def results_6mm(run_tool: Runner, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Results of the smallest variant with default options."""
    done = run_tool(tmp_path_factory.mktemp("out"), "--variant", "6mm", "--device", "cpu")
    assert done.code == 0, done.stderr
    return done


@pytest.fixture(scope="session")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """One patient, five files, with labels.

    ras, lps, las: the same voxels in another order; turned: the same voxels, the patient lying obliquely in the
    scanner; oblique: the patient lies straight, the slices are oblique, so all voxels are others.
    """
    folder = tmp_path_factory.mktemp("data") / "patient"
    straight, slanted = Grid(SHAPE, _affine(np.eye(3))), Grid(SHAPE, _affine(_rotation()))
    image, labels = _draw_patient(straight)
    _write(folder, "ras", image, labels, straight)
    _write(folder, "lps", image, labels, straight, "LPS")
    _write(folder, "las", image, labels, straight, "LAS")
    _write(folder, "turned", image, labels, slanted)
    _write(folder, "oblique", *_draw_patient(slanted), slanted)
    table = "".join(f"  {i}: {organ}\n" for i, organ in LABELS.items())
    (folder / "dataset.yaml").write_text(f"name: patient\nlabels:\n{table}", encoding="utf-8")
    return open_dataset(folder.parent, "patient")


@pytest.fixture(scope="session")
def organs() -> Mapping[str, int]:
    """Organ -> id of the tool."""
    labels = load_manifest(TOOL).variants["total"].labels
    return {organ: i for i, organ in labels.items()} if isinstance(labels, dict) else {}


@pytest.fixture(scope="session")
def in_ras(patient: Dataset) -> Callable[[Path, str], NDArray[np.unsignedinteger]]:
    """Read a result in RAS+, as the world sees it."""
    return lambda folder, case: read_labels(folder / f"{case}.nii.gz", read_image(patient.image(case)))


@pytest.fixture(scope="session")
def dice(patient: Dataset, organs: Mapping[str, int]) -> Callable[[NDArray[np.unsignedinteger], str], dict[str, float]]:
    """Dice of each organ of the phantom."""

    def scores(result: NDArray[np.unsignedinteger], case: str) -> dict[str, float]:
        reference = read_labels(patient.label(case), read_image(patient.image(case)), patient.labels)
        return {
            organ: 2 * float(((result == organs[organ]) & (reference == i)).sum())
            / float((result == organs[organ]).sum() + (reference == i).sum())
            for i, organ in patient.labels.items()
        }  # fmt: skip

    return scores


def _affine(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, :3] = rotation * SPACING_MM
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    return affine


def _rotation() -> NDArray[np.float64]:
    """By 6 degrees about x, then 8 about z."""
    (c, s), (d, t) = ((np.cos(a), np.sin(a)) for a in np.deg2rad([6, 8]))
    return np.array([[d, -t, 0], [t, d, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _draw_patient(grid: Grid) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Image and labels of the same patient, whatever the grid."""
    return draw_case(phantom._random(SEED, "patient"), grid)


def _write(
    folder: Path, case: str, image: NDArray[np.int16], labels: NDArray[np.uint8], grid: Grid, stored: str = "RAS"
) -> None:
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    order = inverse_orientation(nib.orientations.axcodes2ornt(stored))
    file = folder / "images" / f"{case}.nii.gz"
    write_image(file, orient(image, grid, order), orient_grid(grid, order).affine)
    write_labels(folder / "labels" / f"{case}.nii.gz", labels, read_image(file))
