"""The rules for empty masks, as their authors state them."""

import math

import polars as pl
import pytest

from contract import yamlfiles
from contract.datasets import DatasetDescription
from coordinator.datasets.known import description_file
from coordinator.scoring.conventions import CONVENTIONS, apply

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
        ("paper", math.nan, 0, 0),
        ("raw", math.nan, 0, 0),
        ("flare21", 1, 0, 0),
        ("flare22", 1, 0, 0),
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
    assert set(CONVENTIONS) == {"paper", "raw", "flare21", "flare22", "totalsegmentator", "word"}


def test_rows_and_columns_stay_as_they_are():
    scored = apply("flare21", RAW)

    assert scored.drop("dice", "surface_dice").equals(RAW.drop("dice", "surface_dice"))
    assert scored.columns == RAW.columns


def test_a_rule_is_described():
    assert CONVENTIONS["totalsegmentator"].rule == (
        "An organ that neither map has is not counted; one that only the prediction has is not counted; "
        "one that only the reference has counts as 0."
    )


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"unknown convention 'flair'; did you mean `flare22`\?"):
        apply("flair", RAW)


def test_flare22_counts_no_surface_dice_where_the_overlap_is_poor():
    poor = RAW.with_columns(dice=pl.Series([0.19, math.nan, 0.0, 0.0]))

    assert apply("flare22", poor)["surface_dice"][0] == 0
    assert apply("flare22", poor)["dice"][0] == 0.19
    assert apply("flare22", RAW)["surface_dice"][0] == 0.7


def test_flare22_has_a_tolerance_for_each_of_its_organs():
    scoring = CONVENTIONS["flare22"].scoring(also_mm=(1.0,))

    assert set(scoring.of_organ_mm) == set(
        yamlfiles.load(description_file("flare22"), DatasetDescription).labels.values()
    )
    assert scoring.tolerances_mm("liver") == (5.0, 1.0)
    assert scoring.tolerances_mm("duodenum") == (7.0, 1.0)
    assert set(scoring.labelled_slices) < set(scoring.of_organ_mm)


def test_a_tolerance_that_the_study_gives_holds_for_all_organs():
    assert CONVENTIONS["flare22"].scoring(2.0).tolerances_mm("liver") == (2.0,)
    assert CONVENTIONS["totalsegmentator"].scoring().tolerances_mm("liver") == (3.0,)


def test_further_rules_are_described():
    assert "Surface Dice counts as 0 where Dice is below 0.2." in CONVENTIONS["flare22"].rule
    assert "for aorta, inferior vena cava, esophagus." in CONVENTIONS["flare22"].rule
