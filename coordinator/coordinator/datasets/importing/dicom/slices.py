"""Slices in order, and the grid that they form; slices that form none are refused with the reason."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contract.errors import CaseError
from contract.grids import Grid

PLACE_TOLERANCE_MM = 0.1
"""How far a slice, a contour or a frame may lie from where the grid has it. Positions are often written with two
decimals of a mm, so that rounding moves two of them apart by 0.01 mm; the thinnest slices of a CT are 0.25 mm apart."""
AXES_TOLERANCE = 1e-4
"""How much direction cosines may differ: the end of a row of 500 mm then lies 0.05 mm away, half of the above."""
SQUARE_TOLERANCE = 1e-3
"""How much products of the axes may differ from 0 and 1: cosines of four decimals put them 2e-4 off; they are then made
unit vectors."""
SPACING_TOLERANCE = 1e-4
"""How much, of itself, the size of pixels may differ: 512 of them then differ by a twentieth of one."""
MISSING = 1.5
"""A distance of more than so many usual ones is a gap: halfway between one distance and the two of a missing slice."""
MOST_LISTED = 5
"""Positions that a message names."""
TO_RAS = np.array([-1.0, -1.0, 1.0])
"""DICOM's axes run to the left, the back and the head; ours to the right, the front and the head."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Where a slice lies, in DICOM's coordinates.

    Attributes:
        file: its path below the source.
        position_mm: (3,) centre of its first pixel.
        axes: (6,) direction of its rows, then of its columns.
        pixel_mm: (2,) distance between rows, and between columns.
        shape: rows and columns.
    """

    file: str
    position_mm: tuple[float, ...]
    axes: tuple[float, ...]
    pixel_mm: tuple[float, ...]
    shape: tuple[int, int]


def arrange(slices: Sequence[Slice]) -> tuple[tuple[str, ...], Grid]:
    """Put slices in order along their normal.

    Args:
        slices: of one series, at least two, in any order.

    Returns:
        Their files in order, and the grid of (column, row, slice), in RAS mm.

    Raises:
        CaseError: they differ in size, aren't parallel, are doubled, missing, uneven, or not above each other; the
            message says only what must hold and what came.
    """
    _refuse_sizes(slices)
    _refuse_turned(slices)
    positions = np.array([item.position_mm for item in slices])
    rows, columns = np.array(slices[0].axes).reshape(2, 3)
    rows, columns = rows / np.linalg.norm(rows), columns / np.linalg.norm(columns)
    normal = np.cross(rows, columns)
    heights = positions @ normal
    order = np.argsort(heights, kind="stable")
    step_mm = _measure_step(heights[order])
    expected = positions[order[0]] + np.arange(len(slices))[:, None] * step_mm * normal
    _refuse_shifted(positions[order] - expected, step_mm)
    affine = np.eye(4)
    row_mm, column_mm = slices[0].pixel_mm
    affine[:3, :3] = np.stack([rows * column_mm, columns * row_mm, normal * step_mm], axis=1) * TO_RAS[:, None]
    affine[:3, 3] = positions[order[0]] * TO_RAS
    shape = (slices[0].shape[1], slices[0].shape[0], len(slices))
    return tuple(slices[i].file for i in order), Grid(shape, affine)


def _refuse_sizes(slices: Sequence[Slice]) -> None:
    counts = Counter(item.shape for item in slices)
    if len(counts) > 1:
        came = ", ".join(f"{n} have {rows}x{columns}" for (rows, columns), n in counts.most_common(MOST_LISTED))
        raise CaseError(f"slices must have one number of rows and columns, but {came}")
    sizes = np.array([item.pixel_mm for item in slices])
    if not (sizes > 0).all():
        raise CaseError("pixels must have a size, but their spacing is 0 or negative")
    if not np.allclose(sizes, sizes[0], rtol=SPACING_TOLERANCE, atol=0):
        low, high = sizes.min(axis=0), sizes.max(axis=0)
        raise CaseError(
            f"slices must have pixels of one size, but these are from {low[0]:g}x{low[1]:g} to "
            f"{high[0]:g}x{high[1]:g} mm large"
        )


def _refuse_turned(slices: Sequence[Slice]) -> None:
    axes = np.array([item.axes for item in slices]).reshape(-1, 2, 3)
    products = np.einsum("sai,sbi->sab", axes, axes)
    if (skew := float(np.abs(products - np.eye(2)).max())) > SQUARE_TOLERANCE:
        raise CaseError(f"rows and columns must be at right angles, of length 1, but are {skew:.2g} off")
    normals = np.cross(axes[:, 0], axes[:, 1])
    usual = np.median(normals, axis=0)
    usual /= np.linalg.norm(usual) or 1.0
    angles = np.degrees(np.arccos(np.clip(normals @ usual, -1, 1)))
    turned = np.abs(axes - np.median(axes, axis=0)).max(axis=(1, 2)) > AXES_TOLERANCE
    if turned.any():
        raise CaseError(
            f"slices must be parallel, with rows in one direction, but {int(turned.sum())} of {len(slices)} differ "
            f"(their normals by up to {angles.max():.3g} degrees)"
        )


def _measure_step(heights: NDArray[np.float64]) -> float:
    """The distance between slices in mm, of heights that grow."""
    distances = np.diff(heights)
    if (doubled := distances < PLACE_TOLERANCE_MM).any():
        raise CaseError(_describe_doubled(heights, doubled))
    usual = float(np.median(distances))
    if (gaps := distances > MISSING * usual).any():
        missing = int((np.round(distances[gaps] / usual) - 1).sum())
        where = ", ".join(f"{low:.2f} and {low + d:.2f} mm" for low, d in
                          zip(heights[:-1][gaps][:MOST_LISTED], distances[gaps], strict=False))  # fmt: skip
        raise CaseError(
            f"no slice may be missing, but about {missing} are: neighbours are {usual:.2f} mm apart, and none lies "
            f"between {where}{', …' if gaps.sum() > MOST_LISTED else ''} along their normal"
        )
    step_mm = float(heights[-1] - heights[0]) / (len(heights) - 1)
    off = np.abs(heights - heights[0] - step_mm * np.arange(len(heights)))
    if off.max() > PLACE_TOLERANCE_MM:
        raise CaseError(
            f"slices must be evenly spaced, but are {distances.min():.2f} to {distances.max():.2f} mm apart, up to "
            f"{off.max():.2f} mm off their place"
        )
    return step_mm


def _describe_doubled(heights: NDArray[np.float64], doubled: NDArray[np.bool_]) -> str:
    starts = np.flatnonzero(np.concatenate([[True], ~doubled]))
    counts = np.diff(np.append(starts, len(heights)))
    if counts.min() == counts.max():
        return (
            f"each place must have one slice, but each of {len(counts)} has {counts[0]}: several phases or "
            "reconstructions in one series"
        )
    places = heights[starts][counts > 1]
    where = ", ".join(f"{height:.2f}" for height in places[:MOST_LISTED])
    return (
        f"each place must have one slice, but {len(places)} of {len(counts)} have several: at "
        f"{where}{', …' if len(places) > MOST_LISTED else ''} mm along their normal"
    )


def _refuse_shifted(off: NDArray[np.float64], step_mm: float) -> None:
    """Refuse slices that don't lie above each other; `off` is (N, 3) mm from there."""
    distance_mm = np.linalg.norm(off, axis=1)
    if distance_mm.max() <= PLACE_TOLERANCE_MM:
        return
    angle = float(np.degrees(np.arctan2(distance_mm[-1], step_mm * (len(off) - 1))))
    raise CaseError(
        f"slices must lie above each other, but are shifted sideways by up to {distance_mm.max():.2f} mm, as by a "
        f"gantry tilted by {angle:.1f} degrees"
    )
