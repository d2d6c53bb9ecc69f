"""Phantoms with the organs of the usual label tables, in three fields of view, for planting anatomical defects.

    abdomen  liver to colon, the whole width
    trunk    lungs to femora
    narrow   what lies around the kidneys; neither side of the body is in the image

The organs of the project's phantom keep their shapes and places; what the usual tables have beside them is added here.
"""

from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from contract.grids import Grid
from contract.volumes import Volume
from coordinator.datasets.anatomy import ORGANS, Ellipsoid, Organ

FAR = 2000.0
CASES = 10


@dataclass(frozen=True, slots=True)
class Drawn:
    """An organ of these phantoms: a shape, where it begins and ends along z, and the HU of gas in its front half."""

    shape: Organ
    span_mm: tuple[float, float] = (-FAR, FAR)
    gas_from_mm: float = FAR


def tube(hu: float, x: float, y: float, radius: float, span: tuple[float, float] = (-FAR, FAR)) -> Drawn:
    return Drawn(Organ(hu, (Ellipsoid((x, y, 0), (radius, 0.85 * radius, FAR)),)), span)


def blob(hu: float, centre: tuple[float, float, float], axes: tuple[float, float, float]) -> Drawn:
    return Drawn(Organ(hu, (Ellipsoid(centre, axes),)))


# In drawing order: later organs cover earlier ones.
ANATOMY = MappingProxyType[str, Drawn](
    {
        "lung_right": blob(-850, (70, -5, 150), (52, 72, 105)),
        "lung_left": blob(-850, (-70, -5, 150), (52, 72, 105)),
        "trachea": tube(-950, 0, 8, 9, (195, FAR)),
        "heart": blob(140, (-18, 36, 125), (50, 44, 40)),
        "colon": Drawn(Organ(30, (Ellipsoid((90, 12, -62), (21, 20, 48)), Ellipsoid((-94, 2, -62), (19, 19, 52)))), gas_from_mm=12),
        "urinary_bladder": blob(5, (0, 30, -180), (38, 34, 32)),
        "femur_right": blob(420, (86, -10, -300), (23, 20, 105)),
        "femur_left": blob(420, (-86, -10, -300), (23, 20, 105)),
        "duodenum": blob(40, (35, 16, -42), (14, 13, 26)),
        "stomach": Drawn(ORGANS["stomach"], gas_from_mm=52),
        "pancreas": Drawn(ORGANS["pancreas"]),
        "spleen": Drawn(ORGANS["spleen"]),
        "liver": Drawn(ORGANS["liver"]),
        "gallbladder": blob(10, (52, 36, -24), (14, 18, 20)),
        "portal_vein": blob(160, (14, 26, 14), (9, 8, 22)),
        "kidney_right": Drawn(ORGANS["kidney_right"]),
        "kidney_left": Drawn(ORGANS["kidney_left"]),
        "adrenal_gland_right": blob(60, (31, -32, 40), (7, 10, 16)),
        "adrenal_gland_left": blob(60, (-35, -28, 48), (7, 10, 16)),
        "aorta": Drawn(ORGANS["aorta"]),
        "inferior_vena_cava": tube(130, 18, -14, 11, (-FAR, 92)),
        "esophagus": tube(40, 4, 2, 8, (44, FAR)),
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """A field of view: its low and high corner, the spacing, and the organs that its label table names."""

    low_mm: tuple[float, float, float]
    high_mm: tuple[float, float, float]
    spacing_mm: tuple[float, float, float]
    organs: tuple[str, ...]

    @property
    def labels(self) -> dict[int, str]:
        """Id -> organ."""
        return dict(enumerate(self.organs, 1))


RETROPERITONEUM = (
    "kidney_right", "kidney_left", "adrenal_gland_right", "adrenal_gland_left", "pancreas", "stomach", "aorta",
    "inferior_vena_cava", "duodenum", "portal_vein",
)  # fmt: skip
ABDOMEN = (*RETROPERITONEUM, "spleen", "liver", "gallbladder", "colon")
TRUNK = (
    *ABDOMEN,
    "esophagus",
    "lung_right",
    "lung_left",
    "heart",
    "trachea",
    "urinary_bladder",
    "femur_right",
    "femur_left",
)
FIELDS = MappingProxyType[str, Field](
    {
        "abdomen": Field((-162, -122, -135), (162, 122, 125), (4.0, 4.0, 4.0), ABDOMEN),
        "trunk": Field((-165, -125, -235), (165, 125, 290), (4.5, 4.5, 5.0), TRUNK),
        "narrow": Field((-114, -98, -120), (114, 98, 105), (2.8, 2.8, 5.0), RETROPERITONEUM),
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class Phantom:
    """A case: (X, Y, Z) labels and HU on a RAS+ grid, and the table of its labels."""

    labels: NDArray[np.uint8]
    hu: NDArray[np.int16]
    affine: NDArray[np.float64]
    organs: dict[int, str]

    def where(self, organ: str) -> NDArray[np.bool_]:
        """The voxels of an organ."""
        return self.labels == self.id(organ)

    def id(self, organ: str) -> int:
        return next(i for i, name in self.organs.items() if name == organ)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        return Grid((1, 1, 1), self.affine).spacing_mm

    def volume(self) -> Volume:
        """The image as it is read from a file."""
        x, y, z = self.hu.shape
        grid = Grid((x, y, z), self.affine)
        return Volume(self.hu, grid, grid, nib.Nifti1Header(), "", ())

    def copy(self) -> "Phantom":
        return replace(self, labels=self.labels.copy(), hu=self.hu.copy())


@cache
def draw(field: str, index: int) -> Phantom:
    """A random patient; every fourth lies on an oblique grid. The result is shared: change copies alone."""
    view = FIELDS[field]
    random = np.random.default_rng([sorted(FIELDS).index(field), index])
    affine, shape = _place_grid(view, random, oblique=index % 4 == 3)
    size = random.uniform(0.94, 1.04, 3)
    points = _bend(random, np.moveaxis(np.indices(shape, np.float32), 0, -1) @ affine[:3, :3].T + affine[:3, 3], size)
    x, y, z = np.moveaxis(points, -1, 0)
    trunk = (np.abs(x / 138) ** 2.3 + np.abs(y / 100) ** 2.3) ** (1 / 2.3)
    hu = np.where(trunk < 1, np.where(trunk < 0.88, -95, -105), -1000).astype(np.float32)
    hu[(trunk > 0.86) & (trunk < 0.93)] = 55
    hu[(np.abs(x) < 22) & (np.abs(y + 50) < 17)] = 260
    hu[(np.abs(x) < 10) & (np.abs(y + 78) < 8)] = 300
    labels = np.zeros(shape, np.uint8)
    for organ, drawn in ANATOMY.items():
        mask = _draw_organ(random, drawn, (x, y, z)) & (trunk < 0.86)
        hu[mask] = drawn.shape.hu + random.normal(0, 5)
        hu[mask & (y > drawn.gas_from_mm)] = -900
        labels[mask] = view.organs.index(organ) + 1 if organ in view.organs else 0
    grain = gaussian_filter(random.standard_normal(shape, np.float32), (0.8, 0.8, 0.3))
    noisy = gaussian_filter(hu, 0.45) + 10 * grain / grain.std()
    return Phantom(labels, np.rint(noisy).astype(np.int16), affine, view.labels)


def _place_grid(
    view: Field, random: np.random.Generator, *, oblique: bool
) -> tuple[NDArray[np.float64], tuple[int, ...]]:
    spacing = np.array(view.spacing_mm) * random.uniform(0.97, 1.03, 3)
    shape = np.rint(np.subtract(view.high_mm, view.low_mm) / spacing).astype(int)
    tilt, turn = np.deg2rad(random.uniform(4, 7, 2)) if oblique else (0.0, 0.0)
    about_x = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    about_z = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x * spacing
    middle = np.add(view.high_mm, view.low_mm) / 2 + random.normal(0, (2, 2, 3))
    affine[:3, 3] = middle - affine[:3, :3] @ ((shape - 1) / 2)
    return affine, tuple(shape.tolist())


def _bend(random: np.random.Generator, points: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Positions in the typical patient: scaled, and bent by a few millimetres over long distances."""
    typical = points / size
    for axis in range(3):
        wave = random.normal(0, 2 * np.pi / 300, 3)
        typical[..., axis] += 3 * np.cos(typical @ wave + random.uniform(0, 2 * np.pi))
    return typical


def _draw_organ(random: np.random.Generator, drawn: Drawn, axes: tuple[NDArray[np.float64], ...]) -> NDArray[np.bool_]:
    shift, scale = random.normal(0, 2, 3), random.uniform(0.95, 1.05, 3)

    def inside(part: Ellipsoid) -> NDArray[np.bool_]:
        terms = zip(axes, part.centre_mm, part.semi_axes_mm, shift, scale, strict=True)
        return sum(((axis - centre - moved) / (semi * scaled)) ** 2 for axis, centre, semi, moved, scaled in terms) < 1

    mask = np.logical_or.reduce([inside(part) for part in drawn.shape.parts])
    for hollow in drawn.shape.hollows:
        mask &= ~inside(hollow)
    low, high = drawn.span_mm
    return mask & (axes[2] > low + shift[2]) & (axes[2] < high + shift[2])
