"""The middle of the body, by the image alone: between its two sides, and by the spine.

Measured on every few millimetres: the middle of a body needs no more.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from contract.volumes import Volume

SAMPLE_MM = 4.0
"""Distance of the voxels that are looked at; a body is 300 mm wide."""
BODY_HU = -500.0
"""Between air or lung (-800) and fat (-100)."""
BONE_HU = 200.0
"""Vertebrae reach 200 to 300 HU, fat, muscle and most organs don't. Vessels and kidneys full of contrast may, so the
spine is what is bright in the most slices, not what is brightest."""
SPINE_MM = 12.0
"""Half the width of a vertebra: bright voxels are sought in squares of twice this."""
LEAST_BONE = 0.12
"""Share of such a square that is bright where a vertebra lies; its cortex alone is a sixth of it."""
LEAST_SPINE = 0.5
"""Share of the slices in which the spine must be found at one place."""
LEAST_BODY = 0.05
"""Share of a slice that the body fills; less is a table or an arm."""


@dataclass(frozen=True, slots=True, eq=False)
class Midline:
    """The middle of the body.

    Attributes:
        step: voxels between the slices that were looked at.
        body_mm: (slices,) world x of the body's middle; NaN where the image does not show both sides.
        spine_mm: world x of the spine; NaN where none is found.
    """

    step: int
    body_mm: NDArray[np.float64]
    spine_mm: float

    def body_at(self, z: float) -> float | None:
        """World x of the body's middle nearest to a slice, in voxels; None where no slice near it shows it."""
        known = np.flatnonzero(np.isfinite(self.body_mm))
        if not len(known):
            return None
        nearest = known[np.argsort(np.abs(known * self.step - z), kind="stable")[:3]]
        return float(np.median(self.body_mm[nearest]))


def find_midline(image: Volume) -> Midline:
    """Find the middle of the body in an image."""
    steps = [max(1, round(SAMPLE_MM / mm)) for mm in image.spacing_mm]
    x, y, z = steps
    coarse = np.asarray(image.array[::x, ::y, ::z], dtype=np.float32)
    affine = image.grid.affine @ np.diag([*steps, 1.0])
    body = np.stack([_find_body(coarse[:, :, k]) for k in range(coarse.shape[2])], axis=2)
    middles = [_find_middle_mm(body[:, :, k], k, affine) for k in range(coarse.shape[2])]
    spacing = float(np.mean([s * mm for s, mm in zip(steps[:2], image.spacing_mm[:2], strict=True)]))
    return Midline(z, np.asarray(middles), _find_spine_mm(coarse, body, affine, spacing))


def _find_body(section: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The largest part of a slice that is no air, with what it encloses, such as the lungs; without the table."""
    parts, count = ndimage.label(ndimage.binary_opening(section > BODY_HU, iterations=2, border_value=1))
    if not count:
        return np.zeros(section.shape, np.bool_)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    body = ndimage.binary_fill_holes(parts == sizes.argmax())
    return np.asarray(body if sizes.max() >= LEAST_BODY * section.size else np.zeros_like(body))


def _find_middle_mm(body: NDArray[np.bool_], k: int, affine: NDArray[np.float64]) -> float:
    """World x of the middle of the body in a slice; NaN where one of its sides lies outside the image."""
    inside = np.argwhere(body)
    if not len(inside) or inside[:, 0].min() == 0 or inside[:, 0].max() == body.shape[0] - 1:
        return float("nan")
    x, y = inside.mean(axis=0)
    return float(affine[0] @ [x, y, k, 1])


def _find_spine_mm(
    coarse: NDArray[np.float32], body: NDArray[np.bool_], affine: NDArray[np.float64], spacing_mm: float
) -> float:
    """World x of the place at which the most slices are bright; NaN where no place is bright in most of them."""
    bright = ((coarse > BONE_HU) & body).astype(np.float32)
    width = 2 * round(SPINE_MM / spacing_mm) + 1
    filled = ndimage.uniform_filter(bright, (width, width, 1), mode="constant") >= LEAST_BONE
    slices = ndimage.uniform_filter(filled.mean(axis=2), 3)
    if slices.max() < LEAST_SPINE:
        return float("nan")
    x, y = np.argwhere(slices >= 0.95 * slices.max()).mean(axis=0)
    return float(affine[0] @ [x, y, (coarse.shape[2] - 1) / 2, 1])
