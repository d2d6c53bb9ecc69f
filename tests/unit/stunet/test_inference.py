"""Labels are the ones of a plain implementation of upstream's steps, which holds everything in memory at once."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.transform import resize
from stunet_tool.inference import Predictor
from stunet_tool.model import Model, segment_volume
from stunet_tool.network import Shape, STUNet

PATCH = 32
CLASSES = 7


@pytest.fixture(scope="module")
def network() -> STUNet:
    """Random, with classes that win here and there."""
    torch.manual_seed(5)
    network = STUNet(Shape(3, 1, CLASSES)).eval()
    torch.nn.init.normal_(network.seg_outputs[-1].weight, std=3)
    return network


def image(shape: tuple[int, int, int], seed: int = 0) -> NDArray[np.int16]:
    """Smooth random HU with a rim of 0 of another width on each side."""
    random = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(random.standard_normal(shape), [max(1, n / 12) for n in shape])
    hu = (smooth / smooth.std() * 300).astype(np.int16)
    hu[hu == 0] = 1
    return np.pad(hu, ((1, 0), (0, 2), (3, 1)))


# ---------------------------------------------------------------------------------------------- the plain implementation


@dataclass(frozen=True)
class Labels:
    """(z, y, x) labels of both modes."""

    normal: NDArray[np.integer]
    fast: NDArray[np.integer]


def plain(network: STUNet, hu: NDArray[np.int16], spacing_mm, *, step=0.5, mirroring=False) -> Labels:
    """Upstream's way, all classes of the whole volume at once."""
    filled = np.argwhere(ndimage.binary_fill_holes(hu != 0))
    crop = tuple(slice(a, b + 1) for a, b in zip(filled.min(axis=0), filled.max(axis=0), strict=True))
    data = hu[crop].astype(np.float32)
    original = data.shape
    data = plain_resample(data, np.round(np.array(spacing_mm) / 1.5 * original).astype(int), 3, spacing_mm)
    data = (data - data.mean()) / (data.std() + 1e-8)
    softmax = plain_softmax(network, data, step, mirroring)
    normal, fast = np.zeros(hu.shape, int), np.zeros(hu.shape, int)
    normal[crop] = np.stack([plain_resample(one, original, 1, spacing_mm) for one in softmax]).argmax(0)
    chosen = softmax.argmax(0)
    for label in np.unique(chosen):
        fast[crop][plain_resample((chosen == label).astype(np.float64), original, 1, spacing_mm) >= 0.5] = label
    return Labels(normal, fast)


def plain_resample(volume, shape, order, spacing_mm):
    if tuple(volume.shape) == tuple(shape):
        return volume
    coarsest = [axis for axis in range(3) if spacing_mm[axis] == max(spacing_mm)]
    kind = volume.dtype
    if max(spacing_mm) / min(spacing_mm) <= 3 or len(coarsest) > 1:
        return resize(volume.astype(float), shape, order, mode="edge", anti_aliasing=False).astype(kind)
    (axis,) = coarsest
    plane = [n for other, n in enumerate(shape) if other != axis]
    slices = [
        resize(volume.take(i, axis).astype(float), plane, order, mode="edge", anti_aliasing=False).astype(kind)
        for i in range(volume.shape[axis])
    ]
    stacked = np.stack(slices, axis)
    scale = np.array(stacked.shape) / shape
    positions = (np.mgrid[: shape[0], : shape[1], : shape[2]] + 0.5) * scale[:, None, None, None] - 0.5
    return ndimage.map_coordinates(stacked, positions, order=0, mode="nearest").astype(kind)


@torch.no_grad()
def plain_softmax(network, data, step, mirroring):
    missing = [max(0, PATCH - n) for n in data.shape]
    below = [n // 2 for n in missing]
    padded = np.pad(data, [(b, n - b) for b, n in zip(below, missing, strict=True)])
    starts = []
    for n in padded.shape:
        count = int(np.ceil((n - PATCH) / (PATCH * step))) + 1
        starts.append([0] if count == 1 else [int(np.round((n - PATCH) / (count - 1) * i)) for i in range(count)])
    tiles = list(product(*starts))
    weight = np.ones((PATCH,) * 3, np.float32)
    if len(tiles) > 1:
        spike = np.zeros((PATCH,) * 3)
        spike[PATCH // 2, PATCH // 2, PATCH // 2] = 1
        weight = ndimage.gaussian_filter(spike, [PATCH / 8] * 3, 0, mode="constant", cval=0)
        weight = (weight / weight.max()).astype(np.float32)
        weight[weight == 0] = weight[weight != 0].min()
    total, weights = np.zeros((CLASSES, *padded.shape), np.float32), np.zeros(padded.shape, np.float32)
    flips = [f for f in product([False, True], repeat=3) if mirroring or not any(f)]
    for start in tiles:
        window = tuple(slice(s, s + PATCH) for s in start)
        tile = torch.from_numpy(padded[window].copy())[None, None]
        for flip in flips:
            axes = [axis + 2 for axis in range(3) if flip[axis]]
            p = torch.softmax(network(tile.flip(axes)), 1).flip(axes)[0].numpy() / len(flips)
            total[(slice(None), *window)] += p * weight
        weights[window] += weight
    inside = tuple(slice(b, b + n) for b, n in zip(below, data.shape, strict=True))
    return (total / weights)[(slice(None), *inside)]


# ------------------------------------------------------------------------------------------------------------- the tool


def ours(network: STUNet, hu: NDArray[np.int16], spacing_mm, *, step=0.5, mirroring=False) -> Labels:
    predictor = Predictor(network, torch.device("cpu"), PATCH, step, mirroring)
    normal, fast = (segment_volume(Model(predictor, CLASSES, fast), hu, spacing_mm) for fast in (False, True))
    return Labels(normal, fast)


SHAPES = {
    "several tiles along each axis": ((26, 45, 21), (2.0, 1.3, 2.6)),
    "many tiles along the last axis": ((14, 14, 80), (2.0, 2.0, 1.9)),
    "many tiles along the second axis": ((20, 90, 22), (1.6, 1.9, 1.8)),
    "smaller than a tile": ((13, 22, 17), (1.7, 1.1, 1.9)),
    "smaller than a tile along one axis": ((50, 11, 45), (1.1, 2.0, 1.7)),
    "one tile exactly": ((32, 32, 32), (1.5, 1.5, 1.5)),
    "no resampling": ((40, 20, 33), (1.5, 1.5, 1.5)),
    "a tile and one voxel": ((33, 20, 20), (1.5, 2.4, 2.4)),
    "coarse along the first axis": ((11, 50, 41), (6.1, 1.2, 1.3)),
    "coarse along the second axis": ((50, 9, 41), (1.2, 7.0, 1.3)),
    "coarse along the last axis": ((37, 50, 10), (1.2, 1.1, 6.5)),
    "coarse along two axes": ((9, 60, 9), (5.0, 0.8, 5.0)),
    "one slice": ((1, 60, 50), (5.0, 1.0, 1.0)),
    "twice the spacing": ((12, 30, 13), (3.0, 3.0, 3.0)),
    "half the spacing": ((60, 80, 50), (0.75, 0.75, 0.75)),
}


@pytest.mark.parametrize(("shape", "spacing_mm"), SHAPES.values(), ids=SHAPES)
def test_labels_are_those_of_the_plain_implementation(network: STUNet, shape, spacing_mm):
    hu = image(shape)

    expected = plain(network, hu, spacing_mm)
    found = ours(network, hu, spacing_mm)

    assert min(len(np.unique(labels)) for labels in (expected.normal, expected.fast)) > 3
    np.testing.assert_array_equal(found.normal, expected.normal)
    np.testing.assert_array_equal(found.fast, expected.fast)


def test_labels_of_mirrored_tiles_and_of_another_step_are_too(network: STUNet):
    hu, spacing_mm = image((33, 14, 20), seed=2), (1.7, 1.5, 1.4)

    usual = plain(network, hu, spacing_mm)
    expected = plain(network, hu, spacing_mm, step=0.8, mirroring=True)
    found = ours(network, hu, spacing_mm, step=0.8, mirroring=True)

    np.testing.assert_array_equal(found.normal, expected.normal)
    assert (usual.normal != expected.normal).any()


def test_the_modes_differ(network: STUNet):
    found = ours(network, image((13, 22, 17)), (1.7, 1.1, 1.9))

    assert (found.normal != found.fast).any()


def test_a_slice_thinner_than_the_network_s_voxels_is_labelled(network: STUNet):
    # Upstream's shape is 0 there, and it fails.
    found = ours(network, image((1, 40, 40)), (0.5, 1.4, 1.4))

    assert len(np.unique(found.normal)) > 3
