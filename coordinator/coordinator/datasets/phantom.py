"""A synthetic abdominal CT dataset: no patient, no download, exact labels.

    seed, case name ──► grid, anatomy.draw_case ──► image and labels ──► stored in one of several orientations

It is similar enough to a portal venous CT for trying programs: organs in their places with their HU, the liver on the
patient's right, anisotropic voxels, files in several orientations. Results on it say nothing about accuracy.
"""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from contract import atomic, volumes
from contract.datasets import SUFFIX, case_names, name_problem, refuse_dataset_folder
from contract.errors import UsageError
from contract.grids import Grid, inverse_orientation, orient, orient_grid
from contract.gzipfiles import compress
from contract.yamlfiles import as_scalar
from coordinator.datasets.anatomy import LABELS, draw_case

VERSION = 1
"""Version of the anatomy: a folder that another version made does not count as the same dataset."""
FIELD_OF_VIEW_MM = (307.2, 256.0, 144.0)
ORIENTATIONS = ("RAS", "LPS", "LAS", "RAS", "LPS", "PIR")
"""Orientations of the stored files; the cases use them in turn."""
OBLIQUE_EVERY = 4
QFORM_ONLY_EVERY = 6


def make_phantom(folder: Path, *, cases: int = 12, seed: int = 0, shape: tuple[int, int, int] = (64, 54, 16)) -> None:
    """Make a dataset folder of synthetic abdominal CT volumes with organ labels.

    Args:
        folder: to make; its name is the dataset's. A second call with the same arguments does nothing.
        cases: number of cases, from 1; a smaller dataset holds the first cases of a larger one.
        seed: the same seed gives the same bytes.
        shape: voxels from right to left, back to front and feet to head; the field of view stays the same.

    Raises:
        UsageError: the folder holds something else, has a name that no dataset can have or lies in a dataset folder,
            or an argument is out of range.
    """
    if cases < 1 or min(shape) < 8:
        raise UsageError(f"a phantom must have cases and at least 8 voxels along each axis, but: {cases}, {shape}")
    if problem := name_problem(folder.name):
        raise UsageError(f"{folder}: {problem}; choose another folder")
    refuse_dataset_folder(folder.parent)
    refuse_dataset_folder(folder.resolve().parent)
    text = _description(folder.name, cases, seed, shape)
    names = [f"phantom_{i:03d}" for i in range(1, cases + 1)]
    if _is_complete(folder, text, names):
        return
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "images").mkdir(parents=True)
    (part / "labels").mkdir()
    for index, name in enumerate(names):
        _write_case(part, name, index, seed, shape)
    atomic.write_text(part / "dataset.yaml", text)
    part.rename(folder)
    atomic.sync(folder.parent)


def _is_complete(folder: Path, text: str, names: Sequence[str]) -> bool:
    """Whether the folder already holds this dataset.

    Raises:
        UsageError: it holds something else.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    file = folder / "dataset.yaml"
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        raise UsageError(
            f"{folder}: folder must be empty, or hold a phantom of the same arguments, but holds something else; "
            "choose another name"
        )
    if any(case_names(folder / part) != list(names) for part in ("images", "labels")):
        raise UsageError(
            f"{folder}: phantom must not change after it was made, but it did; remove the folder, then make it again"
        )
    return True


def _description(name: str, cases: int, seed: int, shape: tuple[int, int, int]) -> str:
    size = "x".join(map(str, shape))
    labels = "".join(f"  {i}: {organ}\n" for i, organ in LABELS.items())
    return (
        "# Synthetic CT: no patient. Good for trying programs, no basis for any statement about accuracy.\n"
        f"name: {as_scalar(name)}\nmodality: CT\nlicence: CC0-1.0\n"
        "source: >-\n"
        "  procedural phantom, made by coordinator dataset phantom\n"
        f"  (version {VERSION}, {cases} cases, seed {seed}, {size} voxels)\n"
        f"labels:  # 0 is background\n{labels}"
    )


def _write_case(folder: Path, name: str, index: int, seed: int, shape: tuple[int, int, int]) -> None:
    random = _random(seed, name)
    grid = _random_grid(random, shape, oblique=index % OBLIQUE_EVERY == 2)
    image, labels = draw_case(random, grid)
    stored_as = inverse_orientation(nib.orientations.axcodes2ornt(ORIENTATIONS[index % len(ORIENTATIONS)]))
    stored = orient_grid(grid, stored_as)
    file = folder / "images" / f"{name}{SUFFIX}"
    write = _write_with_qform_only if index % QFORM_ONLY_EVERY == 3 else volumes.write_image
    write(file, orient(image, grid, stored_as), stored.affine)
    volumes.write_labels(folder / "labels" / f"{name}{SUFFIX}", labels, volumes.read_image(file))


def _random(seed: int, name: str) -> np.random.Generator:
    """A generator that depends only on the seed and the case."""
    key = hashlib.sha256(f"phantom\0{seed}\0{name}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(key[:16], np.uint64)))


def _random_grid(random: np.random.Generator, shape: tuple[int, int, int], *, oblique: bool) -> Grid:
    """A grid around the middle of the body; the spacing varies slightly by case, and oblique grids are rotated."""
    in_plane, along = random.uniform(0.97, 1.05), random.uniform(0.94, 1.06)
    spacing = np.array(FIELD_OF_VIEW_MM) / shape * [in_plane, in_plane, along]
    tilt, turn = np.deg2rad(random.uniform(4, 9, 2)) if oblique else (0.0, 0.0)
    about_x = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    about_z = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x * spacing
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def _write_with_qform_only(file: Path, image: NDArray[np.generic], affine: NDArray[np.float64]) -> None:
    """Write an image whose only orientation is the qform, as some converters do."""
    nifti = nib.Nifti1Image(image, affine)
    nifti.header.set_xyzt_units("mm")
    nifti.set_qform(affine, code=1)
    nifti.set_sform(None, code=0)
    atomic.write_bytes(file, compress(nifti.to_bytes()))
