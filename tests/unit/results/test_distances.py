"""HD95 and average surface distance over cases and organs, by hand; masks without a distance are counted beside."""

import math

import polars as pl
import pytest

from coordinator.results.distances import summarise_distances


def mask(case: str, label: int, hd95_mm: float, voxels: tuple[int, int] = (9, 9)) -> dict[str, object]:
    return {
        "dataset": "word", "version": "nnunet", "case": case, "label": label, "reference_voxels": voxels[0],
        "prediction_voxels": voxels[1], "hd95_mm": hd95_mm, "assd_mm": hd95_mm / 4,
    }  # fmt: skip


def test_means_are_over_cases_then_organs_of_masks_that_have_a_distance():
    scores = pl.DataFrame([
        mask("a", 1, 4.0), mask("b", 1, 8.0), mask("c", 1, math.inf, (9, 0)), mask("d", 1, math.inf, (0, 9)),
        mask("a", 2, 20.0), mask("b", 2, math.nan, (0, 0)), mask("a", 3, 500.0),
    ])  # fmt: skip

    found = summarise_distances(scores, {"word": (1, 2)}).row(0, named=True)

    # Organ 1: 4 and 8; organ 2: 20. Organ 3 is not common.
    assert found["hd95_mm"] == pytest.approx((6 + 20) / 2)
    assert found["hd95_mm_median"] == 8
    assert (found["assd_mm"], found["assd_mm_median"]) == (pytest.approx(3.25), 2)
    assert [found[name] for name in ("n", "only_reference", "only_prediction", "neither")] == [3, 1, 1, 1]


def test_a_version_whose_masks_are_all_missing_has_no_mean():
    found = summarise_distances(pl.DataFrame([mask("a", 1, math.inf, (9, 0))]), {"word": (1,)}).row(0, named=True)

    assert (found["hd95_mm"], found["n"], found["only_reference"]) == (None, 0, 1)


def test_scores_without_distances_have_no_summary():
    assert summarise_distances(pl.DataFrame([mask("a", 1, 4.0)]).drop("hd95_mm"), {"word": (1,)}).is_empty()
