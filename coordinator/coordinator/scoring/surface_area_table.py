"""The surface area between 2x2x2 voxels, for each of the 256 ways in which they can be inside or outside.

Marching cubes puts a point on the middle of each cube edge that joins inside to outside, and joins the points of a
sheet to a polygon. That alone gives no area, since a polygon of more than four points need not be flat. Two rules give
the values of DeepMind's `surface-distance` (Nikolov et al., 2018) for every code. A polygon is cut into the triangles
whose areas at unit spacing have the largest sum. Where more than half of the corners are inside, the surface of the
outside corners is taken instead.

A neighbour code has one bit for each corner: 128 for corner (0, 0, 0), 64 for (0, 0, 1), …, 1 for (1, 1, 1).
"""

import math
from collections.abc import Iterator, Set
from functools import cache
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, ...]
Triangle = tuple[Point, Point, Point]

CORNERS: tuple[tuple[int, int, int], ...] = tuple((i, j, k) for i, j, k in product((0, 1), repeat=3))
"""Corners in the order of their bits, highest first."""

CODES = 256


def surface_areas(spacing_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    """Area of the surface element of each neighbour code.

    Args:
        spacing_mm: of the voxels, along the axes of the code's corners.

    Returns:
        (256,) mm²; 0 for the codes 0 (all outside) and 255 (all inside), which have no surface.
    """
    a, b, c = spacing_mm
    stretched = _normals() * np.array([b * c, a * c, a * b])
    return np.asarray(np.linalg.norm(stretched, axis=2).sum(axis=1))


@cache
def _normals() -> NDArray[np.float64]:
    """(256, 4, 3) normals of each code's triangles; their lengths are areas at unit spacing, unused ones are 0."""
    normals = np.zeros((CODES, 4, 3))
    for code in range(CODES):
        for row, triangle in enumerate(_triangles(code)):
            normals[code, row] = _normal(triangle)
    return normals


def _triangles(code: int) -> list[Triangle]:
    inside = {corner for bit, corner in enumerate(CORNERS) if code >> (7 - bit) & 1}
    if len(inside) > len(CORNERS) // 2:
        inside = set(CORNERS) - inside
    return [triangle for polygon in _polygons(inside) for triangle in max(_triangulations(polygon), key=_area)]


def _polygons(inside: Set[tuple[int, int, int]]) -> Iterator[list[Point]]:
    """Closed lines around the inside corners; each crosses the cube's faces from edge middle to edge middle."""
    neighbours: dict[Point, list[Point]] = {}
    for ring in _faces():
        for start in range(4):
            if ring[start] in inside and ring[start - 1] not in inside:
                end = next(i for i in range(start, start + 4) if ring[(i + 1) % 4] not in inside)
                line = _middle(ring[start - 1], ring[start]), _middle(ring[end % 4], ring[(end + 1) % 4])
                neighbours.setdefault(line[0], []).append(line[1])
                neighbours.setdefault(line[1], []).append(line[0])
    while neighbours:
        polygon = [min(neighbours)]
        while ahead := [point for point in neighbours.pop(polygon[-1]) if point in neighbours]:
            polygon.append(ahead[0])
        yield polygon


def _faces() -> Iterator[list[tuple[int, ...]]]:
    """The cube's six faces, each as a ring of four corners."""
    for axis, side in product(range(3), (0, 1)):
        yield [(*corner[:axis], side, *corner[axis:]) for corner in ((0, 0), (0, 1), (1, 1), (1, 0))]


def _triangulations(polygon: list[Point]) -> Iterator[list[Triangle]]:
    """All ways to cut a polygon into triangles along lines between its points."""
    if len(polygon) < 3:
        yield []
        return
    for tip in range(1, len(polygon) - 1):
        sides = _triangulations(polygon[: tip + 1]), list(_triangulations(polygon[tip:]))
        for left, right in product(*sides):
            yield [*left, (polygon[0], polygon[tip], polygon[-1]), *right]


def _area(triangles: list[Triangle]) -> float:
    # Rounded, so that equal sums are equal and the first of them wins on every machine.
    return round(sum(math.hypot(*_normal(triangle)) for triangle in triangles), 9)


def _normal(triangle: Triangle) -> Point:
    """Half the cross product of two sides: as long as the triangle's area."""
    (a, b, c), (d, e, f) = ([q - p for p, q in zip(*side, strict=True)] for side in pairwise(triangle))
    return (b * f - c * e) / 2, (c * d - a * f) / 2, (a * e - b * d) / 2


def _middle(first: tuple[int, ...], second: tuple[int, ...]) -> Point:
    return tuple((a + b) / 2 for a, b in zip(first, second, strict=True))
