"""Where tiles lie, when their sums are final, and how much memory the sums take."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stunet_tool.tiles import make_tiling, tile_weights

GIGABYTE = 1e9
STEPS = st.sampled_from([0.25, 0.5, 0.77, 1.0])


@pytest.mark.parametrize(
    ("count", "patch", "step", "starts"),
    [
        (110, 64, 0.5, (0, 23, 46)),
        (64, 64, 0.5, (0,)),
        (65, 64, 0.5, (0, 1)),
        (333, 128, 0.5, (0, 51, 102, 154, 205)),
        (101, 96, 0.5, (0, 5)),
        (96 + 96 + 5, 96, 1.0, (0, 50, 101)),  # 50.5 is rounded to the even number, as numpy does
        (20, 64, 0.5, (0,)),
    ],
)
def test_tiles_are_evenly_spread(count: int, patch: int, step: float, starts: tuple[int, ...]):
    assert make_tiling((count, patch, patch), patch, step).rows[0].starts == starts


def test_a_small_volume_is_padded_the_odd_voxel_after_it():
    layout = make_tiling((20, 31, 32), 32, 0.5)

    assert layout.padding == [(6, 6), (0, 1), (0, 0)]
    assert layout.volume == (slice(6, 26), slice(0, 31), slice(0, 32))


def test_weights_are_a_gaussian_of_an_eighth_of_the_tile():
    weights = tile_weights(32)

    assert weights.dtype == np.float32 and weights[16, 16, 16] == 1 and weights.min() > 0
    # sigma is 4: at a distance of 6 along each axis, exp(-36 / 32) ** 3
    assert weights[16 + 6, 16 - 6, 16 + 6] == pytest.approx(np.exp(-36 / 32) ** 3, rel=1e-4)


@settings(deadline=None, max_examples=40)
@given(st.tuples(*[st.integers(1, 30)] * 3), STEPS)
def test_each_voxel_is_finished_once_and_not_touched_afterwards(shape: tuple[int, int, int], step: float):
    layout = make_tiling(shape, 8, step)
    finished = np.zeros([count + sum(pad) for count, pad in zip(shape, layout.padding, strict=True)], bool)

    for tile in layout.tiles():
        assert not finished[layout.window(tile)].any()
        finished[layout.finished(tile)] = True

    assert finished.all()


@settings(deadline=None)
@given(st.integers(1, 99), STEPS)
def test_blocks_make_up_windows_and_what_is_finished_and_are_the_same_in_both(count: int, step: float):
    row = make_tiling((count, 8, 8), 8, step).rows[0]
    pending: set[tuple[int, int]] = set()

    for tile in range(len(row.starts)):
        for part in (row.window(tile), row.finished(tile)):
            blocks = row.blocks(part)
            edges = [part.start, *(block.stop for block in blocks)]
            assert [block.start for block in blocks] == edges[:-1] and edges[-1] == part.stop
        pending |= {(block.start, block.stop) for block in row.blocks(row.window(tile))}
        pending -= {(block.start, block.stop) for block in row.blocks(row.finished(tile))}

    assert not pending


def most_gigabytes(shape: tuple[int, int, int], classes: int) -> float:
    """Memory of all sums that are pending at a time, at its highest."""
    layout = make_tiling(shape, 128, 0.5)
    pending: dict[tuple[int, ...], int] = {}
    most = 0
    for tile in layout.tiles():
        for block in layout.blocks(layout.window(tile)):
            pending[tuple(part.start for part in block)] = int(np.prod([part.stop - part.start for part in block]))
        most = max(most, sum(pending.values()))
        for block in layout.blocks(layout.finished(tile)):
            del pending[tuple(part.start for part in block)]
    return most * 4 * (classes + 1) / GIGABYTE


@pytest.mark.parametrize("slice_mm", [0.5, 1.0, 1.5, 3.0])
@pytest.mark.parametrize("pixel_mm", [0.7, 0.977])
def test_sums_of_a_ct_of_300_slices_take_at_most_4_5_gigabytes(pixel_mm: float, slice_mm: float):
    across = round(512 * pixel_mm / 1.5)

    assert most_gigabytes((round(300 * slice_mm / 1.5), across, across), classes=105) < 4.5


def test_sums_do_not_grow_with_the_length_of_a_scan():
    assert most_gigabytes((600, 250, 250), 105) == pytest.approx(most_gigabytes((1200, 250, 250), 105), rel=0.05)
