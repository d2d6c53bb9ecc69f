"""Shells around an organ's surface: SciPy's distance transform is the oracle."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from coordinator.scoring import shells
from coordinator.scoring.shells import SHELLS, WIDTH_MM, count_shells

ORGANS = {2: "liver", 7: "aorta", 9: "spleen"}
SPACING_MM = (0.8, 1.3, 2.5)


@pytest.fixture
def pair() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A deep organ that is cut by the volume's border and has a hole, a thin one; the label map is shifted."""
    reference = np.zeros((64, 50, 24), np.uint8)
    x, y, z = np.indices(reference.shape)
    reference[((x - 10) / 34) ** 2 + ((y - 20) / 19) ** 2 + ((z - 9) / 12) ** 2 < 1] = 2
    reference[12:14, 18:20, 8] = 0
    reference[50:53, 30:34, 3:20] = 7
    return reference, np.roll(reference, (2, -1, 1), (0, 1, 2))


def count_by_scipy(mask: NDArray[np.bool_], labelled: NDArray[np.bool_]) -> list[list[int]]:
    distance_mm = np.where(mask, *(distance_transform_edt(side, sampling=SPACING_MM) for side in (mask, ~mask)))
    depth = ((distance_mm - min(SPACING_MM) / 2) / WIDTH_MM + 1e-6).astype(int)
    shell = np.where(mask, SHELLS - np.minimum(depth, SHELLS), SHELLS + 1 + depth)
    return [np.bincount(shell[chosen], minlength=999)[: 2 * SHELLS + 1].tolist() for chosen in (mask | ~mask, labelled)]


@pytest.mark.parametrize("order", ["C", "F", "flipped"])
def test_shells_are_those_of_the_distance_transform_in_any_order_of_memory(pair, order: str):
    if order == "flipped":
        maps = [np.asfortranarray(labels[::-1, :, ::-1])[::-1, :, ::-1] for labels in pair]
    else:
        maps = [np.array(labels, order=order) for labels in pair]

    found = count_shells(maps[0], maps[1], SPACING_MM, ORGANS)

    assert [(organ.label, organ.organ) for organ in found] == [(2, "liver"), (7, "aorta")]
    for organ in found:
        expected = count_by_scipy(pair[0] == organ.label, pair[1] == organ.label)
        assert [organ.voxels.tolist(), organ.labelled_voxels.tolist()] == expected
    assert found[0].voxels[0] > 0


def test_of_a_large_organ_a_quarter_is_counted_and_says_the_same(pair, monkeypatch: pytest.MonkeyPatch):
    whole = count_shells(*pair, SPACING_MM, ORGANS)[0]
    monkeypatch.setattr(shells, "LARGE", 1000)

    quarter = count_shells(*pair, SPACING_MM, ORGANS)[0]

    assert quarter.voxels.sum() / whole.voxels.sum() == pytest.approx(0.25, abs=0.02)
    often = whole.voxels > 500
    assert often.sum() > 10
    shares = [s.labelled_voxels[often] / s.voxels[often] for s in (whole, quarter)]
    assert np.abs(shares[1] - shares[0]).mean() < 0.02


def test_a_row_names_the_middle_of_its_shell(pair):
    rows = list(count_shells(*pair, SPACING_MM, ORGANS)[0].rows("case_1"))

    distances_mm = [row[3] for row in rows]
    assert (distances_mm[0], distances_mm[-1]) == (-10.25, 9.75)
    assert distances_mm == sorted(distances_mm)
    assert {row[:3] for row in rows} == {("case_1", 2, "liver")}
    assert sum(row[4] for row in rows if row[3] < 0) == (pair[0] == 2).sum()


def test_an_organ_that_fills_the_volume_has_no_surface_and_one_that_is_absent_no_shells():
    full = np.full((4, 5, 6), 9, np.uint16)

    (spleen,) = count_shells(full, full, SPACING_MM, ORGANS)

    assert (spleen.organ, spleen.voxels[0], spleen.voxels.sum()) == ("spleen", 120, 120)
    assert count_shells(np.zeros_like(full), full, SPACING_MM, ORGANS) == []
