"""The phantom's anatomy: a typical abdomen, random patients that differ from it, and their CT images.

typical organs ──move, scale, bend──► a patient, drawn at twice the resolution ──► HU and organ of each fine voxel
    fine HU ──mean of 2x2x2──► image with partial volume ──► noise       fine organs ──majority──► labels
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from contract.grids import Grid

LABELS = {1: "spleen", 2: "kidney_right", 3: "kidney_left", 4: "liver", 5: "stomach", 6: "aorta", 7: "pancreas"}
IDS = {organ: i for i, organ in LABELS.items()}
WAVES = 5
"""Plane waves in a smooth random function."""

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
    """An organ: the union of its parts minus its hollows."""

    hu: float
    parts: tuple[Ellipsoid, ...]
    hollows: tuple[Ellipsoid, ...] = ()


ORGANS = {
    # In drawing order: where two organs overlap, the later one covers the earlier one.
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
    """A random patient.

    Attributes:
        random: generator for the rest of the drawing.
        x, y, z: position of each fine voxel in the typical patient, mm.
    """

    random: np.random.Generator
    x: Floats
    y: Floats
    z: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """The voxels to draw on; later strokes cover earlier ones.

    Attributes:
        hu: (2X, 2Y, 2Z) HU of each fine voxel.
        labels: (2X, 2Y, 2Z) label id of each fine voxel.
        cavity: (2X, 2Y, 2Z) mask of the space inside ribs and muscle, where organs may be.
    """

    hu: Floats
    labels: NDArray[np.uint8]
    cavity: Mask

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> "Canvas":
        """A canvas full of air."""
        return cls(np.full(shape, -1000, np.float32), np.zeros(shape, np.uint8), np.zeros(shape, np.bool_))

    def paint(self, mask: Mask, hu: float, label: int = 0) -> None:
        """Set HU and label of the voxels in a mask."""
        self.hu[mask] = hu
        self.labels[mask] = label


def draw_case(random: np.random.Generator, grid: Grid) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Draw a random patient on a grid.

    Returns:
        (X, Y, Z) image in HU, and (X, Y, Z) labels.
    """
    patient = _random_patient(random, grid)
    canvas = Canvas.empty(patient.x.shape)
    _draw_body(canvas, patient)
    _draw_bowel(canvas, patient)
    _draw_organs(canvas, patient)
    image = _group_fine_voxels(canvas.hu).mean(axis=-1) + _noise(random, grid)
    groups = _group_fine_voxels(canvas.labels)
    votes = np.stack([(groups == i).sum(axis=-1, dtype=np.uint8) for i in (0, *LABELS)])
    return np.rint(image).astype(np.int16), np.asarray(votes.argmax(axis=0), dtype=np.uint8)


def _random_patient(random: np.random.Generator, grid: Grid) -> Patient:
    """Draw a patient: size, position in the scanner, and a smooth deformation of the typical patient."""
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


def _waves(random: np.random.Generator, axes: Sequence[Floats], longest_mm: float, shortest_mm: float) -> Floats:
    """A smooth random function of mean 0 and variance 1: the sum of a few plane waves."""
    total = np.zeros(np.broadcast_shapes(*(axis.shape for axis in axes)), np.float32)
    for _ in range(WAVES):
        direction = random.standard_normal(3)
        direction *= 2 * np.pi / np.linalg.norm(direction) / random.uniform(shortest_mm, longest_mm)
        phase = sum(np.float32(d) * axis for d, axis in zip(direction, axes, strict=True))
        total += np.cos(phase + np.float32(random.uniform(0, 2 * np.pi)))
    return total * np.float32((2 / WAVES) ** 0.5)


def _draw_body(canvas: Canvas, patient: Patient) -> None:
    """Draw everything without a label except bowel: skin, fat, muscle, ribs, spine, lung bases and the vena cava."""
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
    """Draw vertebrae with discs, canal, arch and spinous process."""
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
    """Draw loops in the fat at the front of the cavity, some of them with gas."""
    x, y, z, random = patient.x, patient.y, patient.z, patient.random
    loops = _waves(random, (x, y, z), longest_mm=75, shortest_mm=38)
    inside = np.sqrt((x / 100) ** 2 + ((y - 4) / 66) ** 2) < 1
    free = inside & (canvas.hu < -90) & (canvas.hu > -200) & (y > -24) & (z < 34)
    canvas.paint(free & (np.abs(loops) > 0.42), 45)
    canvas.paint(free & (np.abs(loops) > 0.62), 25)
    canvas.paint(free & (loops > 1.1) & (y > 30), -850)


def _draw_organs(canvas: Canvas, patient: Patient) -> None:
    """Draw the labelled organs, each slightly moved, scaled and brightened, with the structures inside them."""
    random = patient.random
    vessels = [_waves(random, (patient.x, patient.y, patient.z), longest_mm=90, shortest_mm=45) for _ in range(2)]
    for name, organ in ORGANS.items():
        shift, scale = random.normal(0, 2.5, 3), random.uniform(0.93, 1.07, 3)
        parts = [_vary(part, shift, scale) for part in organ.parts]
        mask = np.logical_or.reduce([_inside(patient, part) for part in parts])
        for hollow in organ.hollows:
            mask &= ~_inside(patient, _vary(hollow, shift, scale))
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


def _vary(part: Ellipsoid, shift: NDArray[np.float64], scale: NDArray[np.float64]) -> Ellipsoid:
    x, y, z = (np.array(part.centre_mm) + shift).tolist()
    a, b, c = (np.array(part.semi_axes_mm) * scale).tolist()
    return Ellipsoid((x, y, z), (a, b, c))


def _group_fine_voxels(fine: NDArray[np.generic]) -> NDArray[np.generic]:
    """(X, Y, Z, 8) the eight fine voxels of each voxel."""
    x, y, z = (n // 2 for n in fine.shape)
    return fine.reshape(x, 2, y, 2, z, 2).transpose(0, 2, 4, 1, 3, 5).reshape(x, y, z, 8)


def _noise(random: np.random.Generator, grid: Grid) -> Floats:
    """(X, Y, Z) noise of about 12 HU: in-plane grain like that of a reconstruction kernel, plus white noise."""
    grains = gaussian_filter(random.standard_normal(grid.shape, dtype=np.float32), (0.9, 0.9, 0.3))
    white = random.standard_normal(grid.shape, dtype=np.float32)
    return np.asarray(9 * grains / grains.std() + 8 * white, dtype=np.float32)
