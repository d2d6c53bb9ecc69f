"""A procedural abdominal CT dataset: no patient, no download, the right answer known.

    anatomy of a case  ──drawn at twice the resolution──►  HU and organ of each fine voxel
        ──mean of 2x2x2──►  image with partial volume, then noise      ──majority──►  labels

It looks enough like a portal venous CT for programs to be tried on: organs in their places with their HU, the liver on
the patient's right, voxels that are not cubes, files stored in several orientations. It says nothing about accuracy.
"""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from contract import atomic, volumes
from contract.datasets import SUFFIX, case_names
from contract.errors import UsageError
from contract.grids import Grid, inverse_orientation, orient, orient_grid
from contract.gzipfiles import compress

VERSION = 1
"""Of the anatomy: a folder made by another one is not taken for the same."""
FIELD_OF_VIEW_MM = (307.2, 256.0, 144.0)
LABELS = {1: "spleen", 2: "kidney_right", 3: "kidney_left", 4: "liver", 5: "stomach", 6: "aorta", 7: "pancreas"}
IDS = {organ: i for i, organ in LABELS.items()}
STORED = ("RAS", "LPS", "LAS", "RAS", "LPS", "PIR")
"""Orientations in which files are stored, case by case in turn."""
OBLIQUE_EVERY = 4
QFORM_ONLY_EVERY = 6
WAVES = 5

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """A part of an organ in the typical patient; x grows to the right, y to the front, z to the head."""

    centre_mm: Point
    semi_axes_mm: Point


@dataclass(frozen=True, slots=True)
class Organ:
    """An organ: the union of its parts, without its hollows."""

    hu: float
    parts: tuple[Ellipsoid, ...]
    hollows: tuple[Ellipsoid, ...] = ()


ORGANS = {
    # In the order of drawing: where two overlap, the later one is seen.
    "stomach": Organ(
        45,
        (
            Ellipsoid((-52, 34, 36), (34, 33, 34)),
            Ellipsoid((-36, 56, 6), (30, 20, 26)),
            Ellipsoid((-4, 60, -6), (26, 15, 15)),
        ),
    ),
    "pancreas": Organ(
        90,
        (
            Ellipsoid((28, 10, -16), (17, 15, 20)),
            Ellipsoid((0, 14, -5), (24, 11, 14)),
            Ellipsoid((-36, 4, 8), (30, 11, 13)),
        ),
    ),
    "spleen": Organ(120, (Ellipsoid((-88, -24, 28), (33, 46, 44)),), (Ellipsoid((-50, 0, 30), (32, 36, 70)),)),
    "liver": Organ(
        110,
        (
            Ellipsoid((74, 2, 26), (54, 72, 58)),
            Ellipsoid((34, 36, 32), (50, 38, 38)),
            Ellipsoid((-8, 56, 36), (34, 22, 24)),
        ),
        (Ellipsoid((48, -60, -20), (30, 34, 48)),),
    ),
    "kidney_right": Organ(185, (Ellipsoid((60, -40, -30), (28, 29, 54)),), (Ellipsoid((37, -28, -30), (12, 9, 15)),)),
    "kidney_left": Organ(185, (Ellipsoid((-61, -40, -20), (28, 29, 55)),), (Ellipsoid((-38, -28, -20), (12, 9, 15)),)),
    "aorta": Organ(150, (Ellipsoid((-9, -20, 0), (10.5, 10.5, 2000)),)),
}


@dataclass(frozen=True, slots=True, eq=False)
class Patient:
    """What differs between cases.

    Attributes:
        random: for everything that is drawn.
        x, y, z: place of each fine voxel in the typical patient, mm.
    """

    random: np.random.Generator
    x: Floats
    y: Floats
    z: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """What is drawn on; later strokes cover earlier ones.

    Attributes:
        hu: (2X, 2Y, 2Z) HU of each fine voxel.
        labels: (2X, 2Y, 2Z) organ of each.
        cavity: (2X, 2Y, 2Z) inside the wall of ribs and muscle, where organs may be.
    """

    hu: Floats
    labels: NDArray[np.uint8]
    cavity: Mask

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> "Canvas":
        """Air."""
        return cls(np.full(shape, -1000, np.float32), np.zeros(shape, np.uint8), np.zeros(shape, np.bool_))

    def paint(self, mask: Mask, hu: float, label: int = 0) -> None:
        """Cover what is drawn below a mask."""
        self.hu[mask] = hu
        self.labels[mask] = label


def make_phantom(folder: Path, *, cases: int = 12, seed: int = 0, shape: tuple[int, int, int] = (64, 54, 16)) -> None:
    """Make a dataset folder of synthetic abdominal CT volumes with organ labels.

    Args:
        folder: to make; its name is the dataset's. The same arguments again do nothing.
        cases: how many, from 1; the first cases of a larger dataset are those of a smaller one.
        seed: the same seed gives the same bytes.
        shape: voxels from right to left, back to front and feet to head; the field of view stays the same.

    Raises:
        UsageError: the folder holds something else, or an argument is out of range.
    """
    if cases < 1 or min(shape) < 8:
        raise UsageError(f"a phantom must have cases and at least 8 voxels along each axis, but: {cases}, {shape}")
    text = _description(folder.name, cases, seed, shape)
    names = [f"phantom_{i:03d}" for i in range(1, cases + 1)]
    if _is_made(folder, text, names):
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


def _is_made(folder: Path, text: str, names: Sequence[str]) -> bool:
    """Whether the folder holds this dataset already.

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
            f"{folder}: holds a phantom that was changed after it was made; remove it, and it is made anew"
        )
    return True


def _description(name: str, cases: int, seed: int, shape: tuple[int, int, int]) -> str:
    size = "x".join(map(str, shape))
    labels = "".join(f"  {i}: {organ}\n" for i, organ in LABELS.items())
    return (
        "# Synthetic CT: no patient. Good for trying programs, no basis for any statement about accuracy.\n"
        f"name: {name}\nmodality: CT\nlicence: CC0-1.0\n"
        "source: >-\n"
        "  procedural phantom, made by coordinator dataset phantom\n"
        f"  (version {VERSION}, {cases} cases, seed {seed}, {size} voxels)\n"
        f"labels:  # 0 is background\n{labels}"
    )


# -------------------------------------------------------------------------------------------------------------- a case


def _write_case(folder: Path, name: str, index: int, seed: int, shape: tuple[int, int, int]) -> None:
    random = _random(seed, name)
    grid = _grid(random, shape, oblique=index % OBLIQUE_EVERY == 2)
    image, labels = _drawn(random, grid)
    stored_as = inverse_orientation(nib.orientations.axcodes2ornt(STORED[index % len(STORED)]))
    stored = orient_grid(grid, stored_as)
    file = folder / "images" / f"{name}{SUFFIX}"
    write = _write_with_qform_only if index % QFORM_ONLY_EVERY == 3 else volumes.write_image
    write(file, orient(image, grid, stored_as), stored.affine)
    volumes.write_labels(folder / "labels" / f"{name}{SUFFIX}", labels, volumes.read_image(file))


def _random(seed: int, name: str) -> np.random.Generator:
    """Numbers that depend on the seed and the case alone."""
    key = hashlib.sha256(f"phantom\0{seed}\0{name}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(key[:16], np.uint64)))


def _grid(random: np.random.Generator, shape: tuple[int, int, int], *, oblique: bool) -> Grid:
    """Voxels around the middle of the body, spacing a little different in each case; turned when oblique."""
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
    """Leave the qform as the only orientation, as some converters do."""
    nifti = nib.Nifti1Image(image, affine)
    nifti.header.set_xyzt_units("mm")
    nifti.set_qform(affine, code=1)
    nifti.set_sform(None, code=0)
    atomic.write_bytes(file, compress(nifti.to_bytes()))


# ------------------------------------------------------------------------------------------------------------- anatomy


def _drawn(random: np.random.Generator, grid: Grid) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Image and labels of a new patient on a grid."""
    patient = _patient(random, grid)
    canvas = Canvas.empty(patient.x.shape)
    _draw_body(canvas, patient)
    _draw_bowel(canvas, patient)
    _draw_organs(canvas, patient)
    image = _blocks(canvas.hu).mean(axis=-1) + _noise(random, grid)
    blocks = _blocks(canvas.labels)
    votes = np.stack([(blocks == i).sum(axis=-1, dtype=np.uint8) for i in (0, *LABELS)])
    return np.rint(image).astype(np.int16), np.asarray(votes.argmax(axis=0), dtype=np.uint8)


def _patient(random: np.random.Generator, grid: Grid) -> Patient:
    """Draw a patient: size, place in the scanner and a smooth deformation of the typical one."""
    fine = [np.arange(2 * n, dtype=np.float32) / 2 - 0.25 for n in grid.shape]
    i, j, k = np.meshgrid(*fine, indexing="ij", sparse=True)
    a = grid.affine.astype(np.float32)
    world = [a[row, 0] * i + a[row, 1] * j + a[row, 2] * k + a[row, 3] for row in range(3)]
    moved = [axis - np.float32(random.normal(0, spread)) for axis, spread in zip(world, (3, 3, 8), strict=True)]
    size = random.uniform(0.93, 1.04, 3)
    x, y, z = (axis / np.float32(s) for axis, s in zip(moved, size, strict=True))
    bends = [_waves(random, (x, y, z), longest_mm=280, shortest_mm=110) for _ in range(3)]
    x, y, z = (axis + np.float32(3.8) * bend for axis, bend in zip((x, y, z), bends, strict=True))
    return Patient(random, x, y, z)


def _waves(random: np.random.Generator, at: Sequence[Floats], longest_mm: float, shortest_mm: float) -> Floats:
    """A smooth random function of mean 0 and variance 1: a few plane waves."""
    total = np.zeros(np.broadcast_shapes(*(axis.shape for axis in at)), np.float32)
    for _ in range(WAVES):
        direction = random.standard_normal(3)
        direction *= 2 * np.pi / np.linalg.norm(direction) / random.uniform(shortest_mm, longest_mm)
        phase = sum(np.float32(d) * axis for d, axis in zip(direction, at, strict=True))
        total += np.cos(phase + np.float32(random.uniform(0, 2 * np.pi)))
    return total * np.float32((2 / WAVES) ** 0.5)


def _draw_body(canvas: Canvas, patient: Patient) -> None:
    """Skin, fat, muscle, ribs, spine, lung bases and the vena cava: everything without a label but bowel."""
    x, y, z, random = patient.x, patient.y, patient.z, patient.random
    trunk = (np.abs(x / 138) ** 2.3 + np.abs(y / 100) ** 2.3) ** np.float32(1 / 2.3)
    fat = random.uniform(0.10, 0.16)
    wall = trunk + 0.03 * np.cos(2 * np.arctan2(y, x))
    muscle, cavity = wall < 1 - fat, canvas.cavity
    cavity[:] = wall < 0.91 - fat
    canvas.paint(trunk < 1, -100)
    canvas.paint((trunk < 1) & (trunk > 0.985), 20)
    canvas.paint(muscle, 55)
    canvas.paint(cavity, -95)
    along = z - 0.35 * y + 0.2 * np.abs(x)
    ribs = (wall > 0.915 - fat) & (wall < 0.975 - fat) & (np.sin(along * (2 * np.pi / 27)) > 0.55)
    canvas.paint(ribs & (along > -28) & (y < 70), 320)
    lungs = cavity & (z > random.uniform(46, 54) + 0.28 * y) & (np.abs(x) > 20)
    canvas.paint(lungs, -860)
    canvas.paint(cavity & _inside(patient, Ellipsoid((-22, 42, 84), (58, 46, 34))), 140)
    for side in (-1, 1):
        canvas.paint(_inside(patient, Ellipsoid((34 * side, -70, 0), (28, 19, 2000))), 58)
        canvas.paint(_inside(patient, Ellipsoid((30 * side, -44, -60), (15, 17, 75))), 60)
        canvas.paint(_inside(patient, Ellipsoid((15 * side, -38, 70), (9, 14, 34))) & cavity, 60)
    _draw_spine(canvas, patient)
    canvas.paint(_inside(patient, Ellipsoid((18, -16, 0), (12, 9, 2000))), 130)


def _draw_spine(canvas: Canvas, patient: Patient) -> None:
    """Vertebrae with discs between them, canal, arch and spinous process."""
    x, y, z = patient.x, patient.y, patient.z
    disc = np.cos(z * (2 * np.pi / 34)) > 0.86
    arch = _inside(patient, Ellipsoid((0, -72, 0), (17, 12, 2000)))
    process = (np.abs(x) < 3.5) & (y < -78) & (y > -93) & (np.cos(z * (2 * np.pi / 34)) < 0.3)
    transverse = (np.abs(y + 68) < 4) & (np.abs(x) < 32) & (np.cos(z * (2 * np.pi / 34)) < -0.5)
    canvas.paint((arch & ~disc) | process | transverse, 380)
    canvas.paint(arch & disc, 70)
    canvas.paint(_inside(patient, Ellipsoid((0, -48, 0), (22, 17, 2000))), 420)
    canvas.paint(_inside(patient, Ellipsoid((0, -48, 0), (19.5, 14.5, 2000))), 190)
    canvas.paint(_inside(patient, Ellipsoid((0, -48, 0), (22, 17, 2000))) & disc, 85)
    canvas.paint(_inside(patient, Ellipsoid((0, -70, 0), (9, 7, 2000))), 25)


def _draw_bowel(canvas: Canvas, patient: Patient) -> None:
    """Loops in the fat of the front of the cavity, gas in some of them."""
    x, y, z, random = patient.x, patient.y, patient.z, patient.random
    loops = _waves(random, (x, y, z), longest_mm=75, shortest_mm=38)
    inside = np.sqrt((x / 100) ** 2 + ((y - 4) / 66) ** 2) < 1
    free = inside & (canvas.hu < -90) & (canvas.hu > -200) & (y > -24) & (z < 34)
    canvas.paint(free & (np.abs(loops) > 0.42), 45)
    canvas.paint(free & (np.abs(loops) > 0.62), 25)
    canvas.paint(free & (loops > 1.1) & (y > 30), -850)


def _draw_organs(canvas: Canvas, patient: Patient) -> None:
    """The labelled organs, each a little moved, scaled, brighter or darker, with what is seen inside them."""
    random = patient.random
    vessels = [_waves(random, (patient.x, patient.y, patient.z), longest_mm=90, shortest_mm=45) for _ in range(2)]
    for name, organ in ORGANS.items():
        shift, scale = random.normal(0, 2.5, 3), random.uniform(0.93, 1.07, 3)
        parts = [_varied(part, shift, scale) for part in organ.parts]
        mask = np.logical_or.reduce([_inside(patient, part) for part in parts])
        for hollow in organ.hollows:
            mask &= ~_inside(patient, _varied(hollow, shift, scale))
        mask &= canvas.cavity & ((canvas.hu < 50) | (canvas.labels > 0))
        hu = organ.hu + random.normal(0, 5)
        canvas.paint(mask, hu, IDS[name])
        match name:
            case "liver":
                canvas.paint(mask & (np.hypot(*vessels) < 0.16), hu + 45, IDS[name])
            case "stomach":
                top = parts[0].centre_mm[1] + random.uniform(13, 21)
                core = np.logical_or.reduce([_inside(patient, part, shrunk_mm=4) for part in parts])
                canvas.paint(mask & ~core, hu + 40, IDS[name])
                canvas.paint(core & mask & (patient.y > top), -920, IDS[name])
            case "kidney_left" | "kidney_right":
                canvas.paint(mask & _inside(patient, parts[0], shrunk_mm=9), hu - 22, IDS[name])


def _inside(patient: Patient, part: Ellipsoid, shrunk_mm: float = 0.0) -> Mask:
    total = np.zeros(patient.x.shape, np.float32)
    term = np.empty_like(total)
    for axis, centre, semi in zip((patient.x, patient.y, patient.z), part.centre_mm, part.semi_axes_mm, strict=True):
        np.subtract(axis, np.float32(centre), out=term)
        term *= np.float32(1 / (semi - shrunk_mm))
        term *= term
        total += term
    return np.asarray(total < 1)


def _varied(part: Ellipsoid, shift: NDArray[np.float64], scale: NDArray[np.float64]) -> Ellipsoid:
    x, y, z = (np.array(part.centre_mm) + shift).tolist()
    a, b, c = (np.array(part.semi_axes_mm) * scale).tolist()
    return Ellipsoid((x, y, z), (a, b, c))


def _blocks(fine: NDArray[np.generic]) -> NDArray[np.generic]:
    """(X, Y, Z, 8): the fine voxels of each voxel."""
    x, y, z = (n // 2 for n in fine.shape)
    return fine.reshape(x, 2, y, 2, z, 2).transpose(0, 2, 4, 1, 3, 5).reshape(x, y, z, 8)


def _noise(random: np.random.Generator, grid: Grid) -> Floats:
    """Noise in HU of standard deviation about 12: grainy in plane as a reconstruction kernel leaves it, and white."""
    grains = gaussian_filter(random.standard_normal(grid.shape, dtype=np.float32), (0.9, 0.9, 0.3))
    white = random.standard_normal(grid.shape, dtype=np.float32)
    return np.asarray(9 * grains / grains.std() + 8 * white, dtype=np.float32)
