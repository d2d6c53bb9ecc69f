"""Fig. 2: which areas are enlarged."""

import pytest

from coordinator.report.scatter import find_clutter


def place(**versions: tuple[float, float]) -> dict[str, dict[str, tuple[float, float]]]:
    return {version: {"dice": spot} for version, spot in versions.items()}


def test_markers_that_all_but_touch_are_enlarged():
    (area,) = find_clutter(place(a=(40, 40), b=(80, 80), c=(81, 81), d=(95, 60)))

    assert area == pytest.approx((79.75, 79.75, 81.25, 81.25))


def test_markers_that_lie_apart_or_belong_to_one_version_are_not_enlarged():
    assert find_clutter(place(a=(40, 40), b=(60, 60), c=(80, 81))) == []
    assert find_clutter({"a": {"dice": (50, 50), "surface_dice": (50.1, 50)}, "b": {"dice": (90, 90)}}) == []


def test_at_most_two_areas_are_enlarged_those_of_most_markers():
    pairs = {
        f"{name}{i}": (at + 0.1 * i, at)
        for name, at, count in (("a", 20, 2), ("b", 50, 3), ("c", 80, 4))
        for i in range(count)
    }

    areas = find_clutter(place(**pairs))

    assert [round(area[1] / 10) * 10 for area in areas] == [80, 50]


def test_a_chain_of_markers_is_cut_where_it_is_widest():
    chain = {
        f"v{i}": (40.0 + x, 40.0 + x) for i, x in enumerate((0, 0.5, 1, 3.5, 6, 8.5, 11, 13.5, 16, 18.5, 21, 23.5, 24))
    }

    areas = find_clutter(place(**chain))

    assert all(area[2] - area[0] < 5 for area in areas) and len(areas) == 2
