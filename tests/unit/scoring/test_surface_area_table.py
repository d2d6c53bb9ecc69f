"""Areas of neighbour codes against DeepMind's package and by hand."""

import numpy as np
import pytest

from coordinator.scoring.surface_area_table import surface_areas

# Neighbour code -> area at 1.3, 0.7, 2.1 mm by the same package: pentagons, planar and bent hexagons, several sheets.
DEEPMIND_AREAS = {
    7: 1.9467723331962983,
    23: 2.4235446663925964,
    27: 2.7673327281830336,
    30: 2.3506964442617306,
    60: 3.1006128426490145,
    61: 1.95423053238994,
    105: 1.6156964442617308,
    247: 0.4039241110654327,
}


def test_areas_of_neighbour_codes_are_deepminds():
    areas = surface_areas((1.3, 0.7, 2.1))

    assert {code: areas[code] for code in DEEPMIND_AREAS} == pytest.approx(DEEPMIND_AREAS, abs=1e-12)
    assert areas.sum() == pytest.approx(439.6977386951819, abs=1e-9)


def test_flat_cells_have_the_area_of_a_voxel_face():
    areas = surface_areas((2.0, 3.0, 5.0))

    assert [areas[0b11110000], areas[0b11001100], areas[0b10101010]] == pytest.approx([15.0, 10.0, 6.0])


def test_a_code_and_its_complement_have_one_area():
    areas = surface_areas((0.7, 1.1, 2.3))

    assert areas == pytest.approx(areas[::-1])


def test_areas_follow_the_axes():
    areas, swapped = surface_areas((0.7, 1.1, 2.3)), surface_areas((2.3, 1.1, 0.7))

    codes = np.arange(256)
    bits = (codes[:, None] >> np.arange(7, -1, -1) & 1).reshape(-1, 2, 2, 2).transpose(0, 3, 2, 1).reshape(-1, 8)
    assert areas == pytest.approx(swapped[np.packbits(bits.astype(np.uint8), axis=1)[:, 0]])
