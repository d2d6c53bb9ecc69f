import numpy as np
import pytest
import torch
from voxtell_tool.tiles import predict_tiles, tile_starts, tile_weights

TILE = (4, 6, 8)


def test_tiles_are_spread_evenly_with_steps_of_at_most_half_a_tile():
    assert tile_starts(192, 192) == [0]
    assert tile_starts(193, 192) == [0, 1]
    assert tile_starts(400, 192) == [0, 69, 139, 208]  # 208 voxels in three steps of 69.3


def test_weights_fall_from_the_middle_and_are_nowhere_0():
    weights = tile_weights((4, 6, 64))

    assert weights[2, 3, 32] == weights.max() == 1
    assert weights.min() > 0


@pytest.mark.parametrize("shape", [(9, 11, 13), (2, 3, 20), (1, 1, 1), TILE])
def test_a_network_that_says_what_it_sees_gives_the_image_back(shape: tuple[int, int, int]):
    image = np.random.default_rng(1).normal(size=shape).astype(np.float32)

    logits = predict_tiles(lambda tile: torch.cat([tile[0], -tile[0]]), image, TILE, 2)

    np.testing.assert_allclose(logits[0].numpy(), image, atol=1e-5)
    np.testing.assert_allclose(logits[1].numpy(), -image, atol=1e-5)


def test_a_small_image_lies_in_the_middle_of_a_tile_of_zeros():
    seen = []

    predict_tiles(lambda tile: seen.append(tile) or tile[0], np.ones((4, 6, 5), np.float32), TILE, 1)

    assert seen[0][0, 0, 0, 0].tolist() == [0, 1, 1, 1, 1, 1, 0, 0]  # 3 voxels are missing: 1 before, 2 after


def test_tiles_that_disagree_are_weighed_by_their_distance():
    values = iter([0.0, 1.0])
    image = np.zeros((4, 6, 12), np.float32)

    logits = predict_tiles(lambda tile: torch.full((1, *TILE), next(values)), image, TILE, 1)

    row = logits[0, 2, 3]
    assert row[:4].tolist() == [0] * 4 and row[8:].tolist() == [1] * 4
    # Voxel 6 is 2 from the first tile's middle at 4, and 2 from the second's at 8.
    assert row[6].item() == pytest.approx(0.5)
    assert row[5] < 0.5 < row[7]
