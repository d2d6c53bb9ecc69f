"""A network on a whole volume: overlapping tiles as nnU-Net 2 lays them, their logits averaged by Gaussian weights."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import product
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

STEP = 0.5
"""Largest step from tile to tile, as a share of the tile."""
Predict = Callable[[torch.Tensor], torch.Tensor]


@torch.inference_mode()
def predict_tiles(predict: Predict, image: NDArray[np.float32], tile: Sequence[int], count: int) -> torch.Tensor:
    """Average what a network says of all tiles.

    Args:
        predict: (1, 1, *tile) image on the CPU -> (count, *tile) logits on the CPU.
        image: (Z, Y, X), padded on both sides with 0 where it is smaller than a tile.
        tile: (Z, Y, X) voxels of a tile.
        count: how many logits the network gives for each voxel.

    Returns:
        (count, Z, Y, X) float32 logits.
    """
    missing = [max(size - voxels, 0) for size, voxels in zip(tile, image.shape, strict=True)]
    padding = [(n // 2, n - n // 2) for n in missing]
    padded = torch.from_numpy(np.pad(image, padding))
    weights = torch.from_numpy(tile_weights(tile))
    logits, total = torch.zeros((count, *padded.shape)), torch.zeros(padded.shape)
    starts = (tile_starts(voxels, size) for voxels, size in zip(padded.shape, tile, strict=True))
    for corner in product(*starts):
        window = tuple(slice(start, start + size) for start, size in zip(corner, tile, strict=True))
        logits[:, *window] += predict(padded[window][None, None]) * weights
        total[window] += weights
    logits /= total
    inside = (slice(before, before + n) for (before, _), n in zip(padding, image.shape, strict=True))
    return logits[:, *inside]


def tile_starts(voxels: int, tile: int) -> list[int]:
    """First voxels of the tiles along an axis that is at least a tile long, evenly spread."""
    steps = ceil((voxels - tile) / (tile * STEP))
    return [round((voxels - tile) / steps * i) for i in range(steps + 1)] if steps else [0]


def tile_weights(tile: Sequence[int]) -> NDArray[np.float32]:
    """(Z, Y, X) weight of each voxel of a tile: a Gaussian of one eighth of the tile, 1 in the middle, nowhere 0."""
    middle = np.zeros(tile)
    middle[tuple(size // 2 for size in tile)] = 1
    weights = ndimage.gaussian_filter(middle, [size / 8 for size in tile], mode="constant")
    weights = (weights / weights.max()).astype(np.float32)
    weights[weights == 0] = weights[weights > 0].min()
    return weights


def half_precision(device: torch.device) -> AbstractContextManager[object]:
    """Half precision where upstream uses it: on GPUs."""
    return torch.autocast("cuda", dtype=torch.float16) if device.type == "cuda" else nullcontext()
