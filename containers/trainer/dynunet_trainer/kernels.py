"""Compiled loops: NumPy would need many passes over memory, each of these needs one.

Each works on one thread and releases Python's lock, so that loader threads work side by side; their number does not
change a bit. Coordinates are voxels of the source, which need not contain the patch: outside there is air, or
background.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Images = NDArray[np.float32]
Labels = NDArray[np.uint8]
CORNERS = 8


@njit(nogil=True, cache=True)
def cut_image(image: NDArray[np.int16], origin: NDArray[np.int64], window: NDArray[np.float32], out: Images) -> None:
    """Cut a box out of a stored image, clipped and normalised.

    Args:
        image: (X, Y, Z) stored units.
        origin: (3,) first voxel of the box; may lie outside.
        window: (4,) lowest and highest stored unit, then factor and summand that normalise what lies between.
        out: (x, y, z) is written.
    """
    lowest, highest, factor, summand = window
    low, high = np.int16(lowest), np.int16(highest)  # whole numbers: clipping integers is quicker
    air = lowest * factor + summand
    first_z = min(max(-origin[2], 0), out.shape[2])
    end_z = max(min(image.shape[2] - origin[2], out.shape[2]), first_z)
    for i in range(out.shape[0]):
        x = i + origin[0]
        for j in range(out.shape[1]):
            y = j + origin[1]
            if x < 0 or y < 0 or x >= image.shape[0] or y >= image.shape[1]:
                out[i, j, :] = air
                continue
            out[i, j, :first_z] = air
            out[i, j, end_z:] = air
            row, target = image[x, y, first_z + origin[2] : end_z + origin[2]], out[i, j, first_z:end_z]
            for k in range(target.size):
                target[k] = min(max(row[k], low), high) * factor + summand


@njit(nogil=True, cache=True)
def _row_start(matrix: NDArray[np.float64], i: int, j: int) -> tuple[float, float, float]:
    """Where the first voxel of row (i, j) of a patch lies in its source."""
    x = matrix[0, 0] * i + matrix[0, 1] * j + matrix[0, 3]
    y = matrix[1, 0] * i + matrix[1, 1] * j + matrix[1, 3]
    z = matrix[2, 0] * i + matrix[2, 1] * j + matrix[2, 3]
    return x, y, z


@njit(nogil=True, cache=True)
def _fill_corners(source: NDArray[Any], first: tuple[int, int, int], outside: float, corners: NDArray[Any]) -> None:
    """Read the eight neighbours from `first` on; those that are not in the source are `outside`."""
    nx, ny, nz = source.shape
    x, y, z = first
    inside = x >= 0 and y >= 0 and z >= 0 and x + 1 < nx and y + 1 < ny and z + 1 < nz
    for corner in range(CORNERS):
        cx, cy, cz = x + (corner >> 2), y + (corner >> 1 & 1), z + (corner & 1)
        if inside or (0 <= cx < nx and 0 <= cy < ny and 0 <= cz < nz):
            corners[corner] = source[cx, cy, cz]
        else:
            corners[corner] = outside


@njit(nogil=True, cache=True)
def warp_image(
    image: NDArray[np.int16],
    matrix: NDArray[np.float64],
    window: NDArray[np.float32],
    out: Images,
) -> None:
    """Interpolate a stored image linearly on a turned and scaled box, clipped and normalised.

    Args:
        image: (X, Y, Z) stored units.
        matrix: (3, 4) voxel of the patch -> voxel of the image.
        window: as for `cut_image`.
        out: (x, y, z) is written.
    """
    lowest, highest, factor, summand = window
    nx, ny, nz = image.shape
    corners = np.empty(CORNERS, np.float32)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            x0, y0, z0 = _row_start(matrix, i, j)
            for k in range(out.shape[2]):
                x, y, z = x0 + matrix[0, 2] * k, y0 + matrix[1, 2] * k, z0 + matrix[2, 2] * k
                fx, fy, fz = np.floor(x), np.floor(y), np.floor(z)
                ix, iy, iz = int(fx), int(fy), int(fz)
                if ix < -1 or iy < -1 or iz < -1 or ix >= nx or iy >= ny or iz >= nz:
                    out[i, j, k] = lowest * factor + summand
                    continue
                _fill_corners(image, (ix, iy, iz), lowest, corners)
                for corner in range(CORNERS):
                    corners[corner] = min(max(corners[corner], lowest), highest)
                wx, wy, wz = np.float32(x - fx), np.float32(y - fy), np.float32(z - fz)
                a = corners[0] + (corners[1] - corners[0]) * wz
                b = corners[2] + (corners[3] - corners[2]) * wz
                c = corners[4] + (corners[5] - corners[4]) * wz
                d = corners[6] + (corners[7] - corners[6]) * wz
                a += (b - a) * wy
                c += (d - c) * wy
                out[i, j, k] = (a + (c - a) * wx) * factor + summand


@njit(nogil=True, cache=True)
def warp_labels(labels: Labels, matrix: NDArray[np.float64], out: Labels) -> None:
    """Give each voxel the label with the largest share in linear interpolation; the lowest of equals.

    It is the highest channel of the interpolated one-hot labels, without making them: where all eight neighbours agree,
    as they mostly do, there is nothing to add up.

    Args:
        labels: (X, Y, Z).
        matrix: (3, 4) voxel of the patch -> voxel of the labels.
        out: (x, y, z) is written.
    """
    nx, ny, nz = labels.shape
    near, share = np.empty(CORNERS, np.uint8), np.empty(CORNERS, np.float64)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            x0, y0, z0 = _row_start(matrix, i, j)
            for k in range(out.shape[2]):
                x, y, z = x0 + matrix[0, 2] * k, y0 + matrix[1, 2] * k, z0 + matrix[2, 2] * k
                fx, fy, fz = np.floor(x), np.floor(y), np.floor(z)
                ix, iy, iz = int(fx), int(fy), int(fz)
                if ix < -1 or iy < -1 or iz < -1 or ix >= nx or iy >= ny or iz >= nz:
                    out[i, j, k] = 0
                    continue
                _fill_corners(labels, (ix, iy, iz), 0, near)
                agree = True
                for corner in range(1, CORNERS):
                    agree &= near[corner] == near[0]
                out[i, j, k] = near[0] if agree else _largest_share(near, share, x - fx, y - fy, z - fz)


@njit(nogil=True, cache=True)
def _largest_share(near: Labels, share: NDArray[np.float64], wx: float, wy: float, wz: float) -> Any:  # noqa: ANN401 - numba's uint8
    """The label of eight neighbours that has the largest share, else the lowest; `share` is scratch."""
    for corner in range(CORNERS):
        x, y, z = corner >> 2, corner >> 1 & 1, corner & 1
        share[corner] = (wx if x else 1 - wx) * (wy if y else 1 - wy) * (wz if z else 1 - wz)
    best, largest = np.uint8(0), -1.0
    for candidate in range(CORNERS):
        total = 0.0
        for corner in range(CORNERS):
            if near[corner] == near[candidate]:
                total += share[corner]
        if total > largest or (total == largest and near[candidate] < best):
            best, largest = near[candidate], total
    return best


@njit(nogil=True, cache=True)
def add_window(
    scores: NDArray[np.float32],
    weights: tuple[Images, Images, Images],
    first: tuple[int, int, int],
    out: NDArray[np.float32],
) -> None:
    """Add the weighted scores of a window to sums.

    Args:
        scores: (C, x, y, z) of the window.
        weights: along each axis; a voxel's weight is the product of three.
        first: voxel of the sums where the window begins.
        out: (C, X, Y, Z) is added to.
    """
    x, y, z = first
    wx, wy, wz = weights
    for channel in range(scores.shape[0]):
        for i in range(wx.size):
            for j in range(wy.size):
                weight = wx[i] * wy[j]
                for k in range(wz.size):
                    out[channel, x + i, y + j, z + k] += scores[channel, i, j, k] * (weight * wz[k])


@njit(nogil=True, cache=True)
def divide_planes(sums: NDArray[np.float32], weights: tuple[Images, Images, Images]) -> None:
    """Turn sums into means, in place.

    Args:
        sums: (C, x, y, z) are divided.
        weights: that were added up, along each axis; a voxel's is the product of three.
    """
    wx, wy, wz = weights
    for channel in range(sums.shape[0]):
        for i in range(wx.size):
            for j in range(wy.size):
                weight = wx[i] * wy[j]
                for k in range(wz.size):
                    sums[channel, i, j, k] /= weight * wz[k]


@njit(nogil=True, cache=True)
def export_planes(
    scores: NDArray[np.float32],
    low: NDArray[np.int64],
    weight: NDArray[np.float32],
    out: Labels,
) -> None:
    """Interpolate scores linearly to other voxels and give the highest channel of each; the lowest of equals.

    A voxel whose eight neighbours have one highest channel has it too: each score is a convex combination of the
    neighbours' scores, so it stays the largest. Only the others, near surfaces, are interpolated.

    Args:
        scores: (C, X, Y, Z).
        low: (3, N) along each axis, index of the lower neighbour of each result; the upper one is the next, if any.
        weight: (3, N) of the upper neighbour.
        out: (x, y, z) is written.
    """
    _, nx, ny, nz = scores.shape
    best = _highest_channels(scores)
    for i in range(out.shape[0]):
        x0, wx = low[0, i], weight[0, i]
        x1 = min(x0 + 1, nx - 1)
        for j in range(out.shape[1]):
            y0, wy = low[1, j], weight[1, j]
            y1 = min(y0 + 1, ny - 1)
            for k in range(out.shape[2]):
                z0, wz = low[2, k], weight[2, k]
                z1 = min(z0 + 1, nz - 1)
                first = best[x0, y0, z0]
                agree = first == best[x0, y0, z1] and first == best[x0, y1, z0] and first == best[x0, y1, z1]
                agree &= first == best[x1, y0, z0] and first == best[x1, y0, z1]
                if agree and first == best[x1, y1, z0] and first == best[x1, y1, z1]:
                    out[i, j, k] = first
                else:
                    out[i, j, k] = _highest_between(scores, (x0, x1, y0, y1, z0, z1), wx, wy, wz)


@njit(nogil=True, cache=True)
def _highest_channels(scores: NDArray[np.float32]) -> Labels:
    """(X, Y, Z) channel with the highest score; the lowest of equals."""
    best, highest = np.zeros(scores.shape[1:], np.uint8), scores[0].copy()
    for channel in range(1, scores.shape[0]):
        for x in range(scores.shape[1]):
            for y in range(scores.shape[2]):
                for z in range(scores.shape[3]):
                    if scores[channel, x, y, z] > highest[x, y, z]:
                        highest[x, y, z], best[x, y, z] = scores[channel, x, y, z], channel
    return best


@njit(nogil=True, cache=True)
def _highest_between(scores: NDArray[np.float32], near: tuple[int, ...], wx: float, wy: float, wz: float) -> int:
    """The channel with the highest interpolated score between eight neighbours."""
    x0, x1, y0, y1, z0, z1 = near
    winner, highest = 0, -np.inf
    for channel in range(scores.shape[0]):
        s = scores[channel]
        a = s[x0, y0, z0] * (1 - wz) + s[x0, y0, z1] * wz
        b = s[x0, y1, z0] * (1 - wz) + s[x0, y1, z1] * wz
        c = s[x1, y0, z0] * (1 - wz) + s[x1, y0, z1] * wz
        d = s[x1, y1, z0] * (1 - wz) + s[x1, y1, z1] * wz
        score = (a * (1 - wy) + b * wy) * (1 - wx) + (c * (1 - wy) + d * wy) * wx
        if score > highest:
            winner, highest = channel, score
    return winner


@njit(nogil=True, cache=True)
def vote_planes(
    labels: Labels,
    low: NDArray[np.int64],
    weight: NDArray[np.float64],
    tie: float,
    out: Labels,
) -> None:
    """Resample labels: of eight neighbours, the label with the largest share of them wins.

    Args:
        labels: (X, Y, Z).
        low: (3, N) along each axis, index of the lower neighbour of each result; the upper one is the next, if any.
        weight: (3, N) of the upper neighbour.
        tie: shares that differ by less are equal; then the nearest neighbour's label wins, else the lowest.
        out: (x, y, z) is written.
    """
    nx, ny, nz = labels.shape
    near, share = np.empty(CORNERS, np.uint8), np.empty(CORNERS, np.float64)
    for i in range(out.shape[0]):
        x0, wx = low[0, i], weight[0, i]
        x1 = min(x0 + 1, nx - 1)
        for j in range(out.shape[1]):
            y0, wy = low[1, j], weight[1, j]
            y1 = min(y0 + 1, ny - 1)
            for k in range(out.shape[2]):
                z0, wz = low[2, k], weight[2, k]
                z1 = min(z0 + 1, nz - 1)
                near[0], near[1] = labels[x0, y0, z0], labels[x0, y0, z1]
                near[2], near[3] = labels[x0, y1, z0], labels[x0, y1, z1]
                near[4], near[5] = labels[x1, y0, z0], labels[x1, y0, z1]
                near[6], near[7] = labels[x1, y1, z0], labels[x1, y1, z1]
                agree = near[0] == near[1] and near[0] == near[2] and near[0] == near[3]
                if agree and near[0] == near[4] and near[0] == near[5] and near[0] == near[6] and near[0] == near[7]:
                    out[i, j, k] = near[0]
                else:
                    nearest = near[(4 if wx > 0.5 else 0) + (2 if wy > 0.5 else 0) + (1 if wz > 0.5 else 0)]
                    out[i, j, k] = _vote(near, share, (wx, wy, wz), nearest, tie)


@njit(nogil=True, cache=True)
def _vote(near: Labels, share: NDArray[np.float64], weights: tuple[float, ...], nearest: int, tie: float) -> Any:  # noqa: ANN401 - numba's uint8
    """The label of eight neighbours that has the largest share; of equals the nearest's, else the lowest."""
    wx, wy, wz = weights
    for corner in range(CORNERS):
        x, y, z = corner >> 2, corner >> 1 & 1, corner & 1
        share[corner] = (wx if x else 1 - wx) * (wy if y else 1 - wy) * (wz if z else 1 - wz)
    best, largest = near[0], -1.0
    for candidate in range(CORNERS):
        total = tie if near[candidate] == nearest else 0.0
        for corner in range(CORNERS):
            if near[corner] == near[candidate]:
                total += share[corner]
        if total > largest + tie / 2 or (total > largest - tie / 2 and near[candidate] < best):
            best, largest = near[candidate], max(total, largest)
    return best
