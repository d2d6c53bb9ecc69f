"""LiteMedSAM is shown pictures that keep their aspect in 256 pixels, MedSAM ones that are stretched to 1024."""

import pytest
from medsam_tool.fit import fit_keeping_aspect, fit_stretching


def test_boxes_are_scaled_by_their_outer_edges():
    # 128 rows become 256: pixel 5 becomes 10 and 11, so the last pixel 8 ends at 17.
    assert fit_keeping_aspect(128, 64, 256).scale_box((5, 6, 8, 8)) == (10, 12, 17, 17)
    # 512 columns become 256: pixels 10..13 become 5 and 6.
    assert fit_keeping_aspect(100, 512, 256).scale_box((10, 20, 13, 29)) == (5, 10, 6, 14)


def test_the_longer_side_becomes_256_and_the_other_is_rounded():
    assert fit_keeping_aspect(100, 512, 256).resized_shape == (50, 256)
    assert fit_keeping_aspect(122, 101, 256).resized_shape == (256, 212)  # 101 * 256 / 122 = 211.9
    assert fit_keeping_aspect(1, 4000, 256).resized_shape == (1, 256)


def test_a_stretched_picture_fills_the_input_and_each_axis_has_its_own_scale():
    fit = fit_stretching(512, 256, 1024)

    assert fit.resized_shape == (1024, 1024)
    assert fit.scale_box((5, 6, 8, 8)) == (20, 12, 35, 17)
    assert fit.clip_box((-3, -1, 1030, 1030)) == (0, 0, 1023, 1023)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (333, 7), (1023, 1025), (4000, 3)])
def test_a_stretched_picture_fills_the_input_whatever_its_size(rows: int, columns: int):
    assert fit_stretching(rows, columns, 1024).resized_shape == (1024, 1024)
