"""Draw the errors of one case, before their strength is known.

Consistent errors are those of a labelling protocol or of a biased network: nothing about them is drawn by case.

                          unbiased: drawn for each case         consistent: drawn once, for all cases
    boundary              eroded or dilated                     eroded or dilated, and by how much
    smooth fields         over this volume                      around the middle of the organs, in mm
    missing slices        some                                  those at one end
    missed, cut, swapped  some organs                           the same organs
"""

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from degrade_tool.boundary import Boundary, Box, OrganNumbers, Shift, boundary_errors
from degrade_tool.fields import Indices, SmoothField, draw_field

Random = Callable[..., np.random.Generator]
"""purpose -> random numbers for it, the same every time."""
SMALLEST_SIZE, LARGEST_SIZE = 0.5, 1.5
"""Consistent boundary errors of an organ are so many times as large as the recipe's."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How strong each kind of error is at scale 1, and whether errors are consistent; the manifest explains each."""

    deformation_mm: float = 0.0
    smoothness_mm: float = 30.0
    erosion_mm: float = 0.0
    dilation_mm: float = 0.0
    shifted_slices: float = 0.0
    slice_shift_mm: float = 0.0
    missing_slices: float = 0.0
    missed_organs: float = 0.0
    swapped_pairs: float = 0.0
    consistent: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Errors:
    """The errors of one case, for all scales. Organs are numbered from 1 in order of their ids.

    Attributes:
        recipe: strengths at scale 1.
        labels: (X, Y, Z) organ numbers of the reference labels.
        spacing_mm: of the voxels.
        boxes: bounding box of each organ.
        boundary: scale at which each voxel is eroded or dilated.
        deformation: x, y and z displacement as unit fields; empty when there is none.
        slice_shift_mm: (Z, 2) in-plane shift of each slice.
        slice_orders: slices of each organ, in the order in which they go missing.
        missed_order: organ numbers, in the order in which they are missed.
        cut_directions: (organs, 3) along which an organ is cut, in mm space.
        swap_table: (organs + 1,) number that each number becomes in the end.
    """

    recipe: Recipe
    labels: OrganNumbers
    spacing_mm: tuple[float, float, float]
    boxes: tuple[Box, ...]
    boundary: Boundary
    deformation: tuple[SmoothField, ...]
    slice_shift_mm: NDArray[np.float64]
    slice_orders: tuple[Indices, ...]
    missed_order: tuple[int, ...]
    cut_directions: NDArray[np.float64]
    swap_table: OrganNumbers


def random_of_all_cases(seed: int) -> Random:
    """Random numbers that depend on the seed and the purpose, and not on the case."""

    def random(*purpose: str) -> np.random.Generator:
        key = hashlib.sha256("\0".join([str(seed), *purpose]).encode()).digest()
        return np.random.Generator(np.random.Philox(key=np.frombuffer(key[:16], np.uint64)))

    return random


def draw_errors(
    labels: OrganNumbers,
    spacing_mm: tuple[float, float, float],
    names: list[str],
    recipe: Recipe,
    random: Random,
    largest_scale: float = 1.0,
) -> Errors:
    """Draw everything random about the errors of one case.

    Args:
        labels: (X, Y, Z) organs numbered from 1, all of them present.
        spacing_mm: of the voxels.
        names: of the organs, in order; what is drawn for an organ depends on its name, not on its number.
        recipe: strength of each kind.
        random: the same numbers for the same purpose, every time; of consistent errors, in every case.
        largest_scale: at which the errors will be applied.
    """
    shape = (labels.shape[0], labels.shape[1], labels.shape[2])
    boxes = tuple((x, y, z) for x, y, z in find_objects(labels))
    shifts = _boundary_shifts(names, recipe, random)
    origin = _middle(boxes) if recipe.consistent else None
    field = draw_field(random("boundary"), shape, spacing_mm, recipe.smoothness_mm, origin)
    directions = np.array([random("cut", name).standard_normal(3) * [0.3, 0.3, 1] for name in names])
    return Errors(
        recipe=recipe,
        labels=labels,
        spacing_mm=spacing_mm,
        boxes=boxes,
        boundary=boundary_errors(labels, spacing_mm, boxes, shifts, field, largest_scale),
        deformation=tuple(
            draw_field(random("deformation", axis), shape, spacing_mm, recipe.smoothness_mm, origin)
            for axis in "xyz" if recipe.deformation_mm > 0
        ),
        slice_shift_mm=_slice_shifts(random, recipe, shape[2]),
        slice_orders=tuple(
            _order_slices(random("slices", name), boxes[i], recipe) for i, name in enumerate(names)
        ),
        missed_order=tuple(int(i) + 1 for i in np.argsort([random("missed", name).random() for name in names])),
        cut_directions=directions,
        swap_table=_draw_swap_table(names, recipe, random, labels.dtype),
    )  # fmt: skip


def left_right_pairs(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of names that differ only in the word left or right, such as (kidney_left, kidney_right); sorted."""
    known = set(names)
    mirrored = {name: re.sub(r"(?<![a-z])left(?![a-z])", "right", name) for name in known}
    return sorted((left, right) for left, right in mirrored.items() if left != right and right in known)


def _middle(boxes: tuple[Box, ...]) -> tuple[float, float, float]:
    """Voxel in the middle of the box around all organs."""
    x, y, z = ((min(b[i].start for b in boxes) + max(b[i].stop for b in boxes)) / 2 for i in range(3))
    return x, y, z


def _order_slices(random: np.random.Generator, box: Box, recipe: Recipe) -> Indices:
    """The slices of an organ, in the order in which they go missing; consistent errors begin at one of its ends."""
    slices = np.arange(box[2].start, box[2].stop)
    if recipe.consistent:
        return slices if random.random() < 0.5 else slices[::-1]
    return random.permutation(slices)


def _boundary_shifts(names: list[str], recipe: Recipe, random: Random) -> list[Shift]:
    """Which organs are eroded and which dilated, and by how much."""
    shifts = []
    for number, name in enumerate(names, start=1):
        erodes = recipe.dilation_mm == 0 or (recipe.erosion_mm > 0 and random("erodes", name).random() < 0.5)
        mm = -recipe.erosion_mm if erodes else recipe.dilation_mm
        if recipe.consistent:
            mm *= random("size", name).uniform(SMALLEST_SIZE, LARGEST_SIZE)
        if mm:
            shifts.append(Shift(number, mm))
    return shifts


def _slice_shifts(random: Random, recipe: Recipe, slices: int) -> NDArray[np.float64]:
    """(slices, 2) shift in mm at scale 1; 0 for slices that stay."""
    numbers = random("slice shifts")
    shifted = numbers.random(slices) < recipe.shifted_slices
    return np.where(shifted[:, None], recipe.slice_shift_mm * numbers.standard_normal((slices, 2)), 0.0)


def _draw_swap_table(
    names: list[str], recipe: Recipe, random: Random, kind: np.dtype[np.unsignedinteger]
) -> OrganNumbers:
    table = np.arange(len(names) + 1, dtype=kind)
    for left, right in left_right_pairs(names):
        if random("swap", left, right).random() < recipe.swapped_pairs:
            pair = [names.index(left) + 1, names.index(right) + 1]
            table[pair] = table[pair[::-1]]
    return table
