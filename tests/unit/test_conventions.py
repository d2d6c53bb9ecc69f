"""The rules for empty masks, as their authors state them."""

import math

import polars as pl
import pytest

from coordinator.conventions import CONVENTIONS, apply

# Raw scores of an organ that both maps have, that neither has, that only the prediction, that only the reference has.
RAW = pl.DataFrame(
    {
        "case": ["both", "neither", "prediction", "reference"],
        "dice": [0.8, math.nan, 0.0, 0.0],
        "surface_dice": [0.7, math.nan, 0.0, 0.0],
        "reference_voxels": [10, 0, 0, 10],
        "prediction_voxels": [12, 0, 12, 0],
    }
)


@pytest.mark.parametrize(
    ("name", "neither", "only_prediction", "only_reference"),
    [
        ("raw", math.nan, 0, 0),
        ("flare", 1, 0, 0),
        ("totalsegmentator", math.nan, math.nan, 0),
        ("word", 0, 0, 0),
    ],
)
def test_each_convention_scores_empty_masks_by_its_rule(
    name: str, neither: float, only_prediction: float, only_reference: float
):
    scored = apply(name, RAW)

    rest = [neither, only_prediction, only_reference]
    assert scored["dice"].to_list() == pytest.approx([0.8, *rest], nan_ok=True)
    assert scored["surface_dice"].to_list() == pytest.approx([0.7, *rest], nan_ok=True)


def test_every_convention_has_a_case_above():
    assert set(CONVENTIONS) == {"raw", "flare", "totalsegmentator", "word"}


def test_rows_and_columns_stay_as_they_are():
    scored = apply("flare", RAW)

    assert scored.drop("dice", "surface_dice").equals(RAW.drop("dice", "surface_dice"))
    assert scored.columns == RAW.columns


def test_a_rule_is_spelled_out():
    assert CONVENTIONS["totalsegmentator"].rule == (
        "An organ that neither map has is not counted; one that only the prediction has is not counted; "
        "one that only the reference has counts as 0."
    )


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"unknown convention 'flair'; did you mean `flare`\?"):
        apply("flair", RAW)
