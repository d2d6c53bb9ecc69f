"""Whether the labels lie on the organs that the image shows, or would lie there after a flip or a shift.

The voxels of a solid organ have nearly one HU. Labels that were mirrored, or moved by a wrong origin, hold a mixture of
the organ, of fat and of what lies beside it.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from coordinator.datasets.audit.anatomy.organfacts import know
from coordinator.datasets.audit.anatomy.organmeasures import Fit

SAMPLES = 1500
"""Voxels of each organ that are looked at; the mean of so many is known to a few percent."""
LEAST_VOXELS = 40
"""Smaller organs are left out: their mean is noise."""
WINDOW_HU = (-200.0, 300.0)
"""HU are clipped to it, so that a calcification or gas counts no more than fat does."""
FARTHEST_MM = 40.0
"""Shifts that are tried along each axis; an organ that was moved further shares no voxel with itself."""
STEP_MM = 5.0
"""Between the shifts that are tried; a smaller one is within the doubt of any outline."""
ROUNDS = 4
"""Axes along which the labels are moved one after another; a shift has three."""

Voxels = NDArray[np.int64]


def measure_fit(
    labels: NDArray[np.integer], image: NDArray[np.generic], spacing_mm: Sequence[float], organs: Mapping[int, str]
) -> Fit | None:
    """Compare the labels as they are with the labels flipped, and shifted.

    Args:
        labels: (X, Y, Z) label ids.
        image: (X, Y, Z) in HU.
        spacing_mm: of the voxels.
        organs: id -> organ.

    Returns:
        The fit; None where no solid organ has enough voxels.
    """
    samples = _sample_organs(labels, organs)
    if not samples:
        return None
    here = _measure_misfit(image, samples)
    flips = {"".join("xyz"[a] for a in axes): axes for n in (1, 2, 3) for axes in combinations(range(3), n)}
    flipped = {
        name: _measure_misfit(image, [_flip(s, axes, labels.shape) for s in samples]) for name, axes in flips.items()
    }
    best = min(flipped, key=lambda name: flipped[name])
    shift, shifted = _find_shift(image, samples, spacing_mm, here)
    x, y, z = (n * mm for n, mm in zip(shift.tolist(), spacing_mm, strict=True))
    return Fit(len(samples), here, best, flipped[best], (x, y, z), shifted)


def _sample_organs(labels: NDArray[np.integer], organs: Mapping[int, str]) -> list[Voxels]:
    """(N, 3) voxels of each solid organ, evenly spread over it."""
    solid = [label for label, organ in organs.items() if not _is_mixed(organ)]
    step = max(1, round((labels.size / 4e6) ** (1 / 3)))
    coarse = labels[::step, ::step, ::step]
    inside = np.flatnonzero(np.isin(coarse, solid))  # three indices a voxel would take gigabytes of a label of the body
    ids = coarse.ravel()[inside]
    samples = []
    for label in solid:
        voxels = inside[ids == label]
        if len(voxels) >= LEAST_VOXELS:
            spread = voxels[:: max(1, len(voxels) // SAMPLES)]
            samples.append(step * np.stack(np.unravel_index(spread, coarse.shape), axis=1))
    return samples


def _is_mixed(organ: str) -> bool:
    """Whether an organ holds several tissues, so that its HU say nothing about where it lies."""
    facts = know(organ)
    return facts.has_gas or facts.is_bone or facts.encloses


def _flip(voxels: Voxels, axes: Sequence[int], shape: Sequence[int]) -> Voxels:
    flipped = voxels.copy()
    for axis in axes:
        flipped[:, axis] = shape[axis] - 1 - flipped[:, axis]
    return flipped


def _find_shift(
    image: NDArray[np.generic], samples: list[Voxels], spacing_mm: Sequence[float], here: float
) -> tuple[NDArray[np.int64], float]:
    """The shift in voxels that lowers the misfit the most, one axis after another, and the misfit after it."""
    shift, best = np.zeros(3, np.int64), here
    for _ in range(ROUNDS):
        start, before = shift, best
        for axis in range(3):
            step = max(1, round(STEP_MM / spacing_mm[axis]))
            farthest = max(1, round(FARTHEST_MM / spacing_mm[axis] / step))
            for steps in range(-farthest, farthest + 1):
                trial = start.copy()
                trial[axis] = steps * step
                misfit = _measure_misfit(image, [voxels + trial for voxels in samples])
                if misfit < best:
                    shift, best = trial, misfit
        if best == before:
            break
    return shift, best


def _measure_misfit(image: NDArray[np.generic], samples: list[Voxels]) -> float:
    """Mean over organs of the mean distance in HU from the organ's median, which is at least that of water.

    Voxels outside the image count as air.
    """
    distances = []
    for voxels in samples:
        inside = ((voxels >= 0) & (voxels < image.shape)).all(axis=1)
        values = np.full(len(voxels), WINDOW_HU[0])
        values[inside] = image[tuple(voxels[inside].T)]
        values = values.clip(*WINDOW_HU)
        distances.append(float(np.abs(values - max(np.median(values), 0.0)).mean()))
    return float(np.mean(distances))
