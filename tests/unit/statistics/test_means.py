"""Equations 2 to 4 on numbers that can be checked by mental arithmetic."""

import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.statistics import organ_table, summary


def make_scores(rows: list[tuple[str, str, int, float]], **columns: object) -> pl.DataFrame:
    """Raw scores of (version, case, label, dice); surface Dice is half of Dice; NaN stands for two empty masks."""
    frame = pl.DataFrame(rows, schema=["version", "case", "label", "dice"], orient="row")
    size = pl.when(pl.col("dice").is_nan()).then(0).otherwise(100)
    return frame.with_columns(
        pl.lit("word").alias("dataset"),
        ("organ-" + pl.col("label").cast(pl.String)).alias("organ"),
        (pl.col("dice") / 2).alias("surface_dice"),
        size.alias("reference_voxels"),
        size.alias("prediction_voxels"),
        **{name: pl.lit(value) for name, value in columns.items()},
    )


TWO_ORGANS = make_scores(
    [
        ("medsam", "a", 1, 0.4), ("medsam", "b", 1, 0.8),
        ("medsam", "a", 2, 0.5), ("medsam", "b", 2, math.nan),
        ("medsam", "a", 9, 0.1), ("medsam", "b", 9, 0.1),
    ]
)  # fmt: skip


def test_scores_of_two_folders_make_a_table_of_organs_without_a_dataset():
    table = organ_table(TWO_ORGANS.drop("dataset", "version"), "raw")

    assert table.equals(organ_table(TWO_ORGANS, "raw").drop("dataset", "version"))


def test_an_organ_has_mean_and_population_deviation_over_its_cases():
    liver = organ_table(TWO_ORGANS, "raw").row(0, named=True)

    assert (liver["dataset"], liver["version"], liver["label"], liver["organ"]) == ("word", "medsam", 1, "organ-1")
    assert (liver["n"], liver["dice_mean"], liver["dice_std"]) == (2, pytest.approx(0.6), pytest.approx(0.2))
    assert (liver["surface_dice_mean"], liver["surface_dice_std"]) == (pytest.approx(0.3), pytest.approx(0.1))


def test_a_dropped_score_counts_in_no_mean_and_not_in_n():
    organ = organ_table(TWO_ORGANS, "raw").row(1, named=True)

    assert (organ["n"], organ["dice_mean"], organ["dice_std"]) == (1, pytest.approx(0.5), 0.0)


def test_the_convention_decides_what_is_dropped():
    organ = organ_table(TWO_ORGANS, "flare21").row(1, named=True)

    assert (organ["n"], organ["dice_mean"], organ["dice_std"]) == (2, pytest.approx(0.75), pytest.approx(0.25))


def test_an_organ_without_any_score_has_n_of_zero():
    organ = organ_table(make_scores([("medsam", "a", 3, math.nan)]), "raw").row(0, named=True)

    assert (organ["n"], organ["dice_mean"], organ["dice_std"]) == (0, None, None)


def test_the_summary_averages_means_and_takes_the_root_mean_square_of_deviations():
    row = summary(TWO_ORGANS, "flare21", {"word": [1, 2]}).row(0, named=True)

    assert row["dice"] == pytest.approx((0.6 + 0.75) / 2)
    assert row["dice_std"] == pytest.approx(math.sqrt((0.2**2 + 0.25**2) / 2))
    assert row["organs"] == 2


def test_the_summary_leaves_out_labels_that_are_not_common():
    row = summary(TWO_ORGANS, "raw", {"word": [1]}).row(0, named=True)

    assert (row["dice"], row["organs"]) == (pytest.approx(0.6), 1)


def test_the_summary_counts_only_organs_that_have_a_score():
    frame = pl.concat([TWO_ORGANS, make_scores([("medsam", "a", 3, math.nan)])])

    row = summary(frame, "raw", {"word": [1, 2, 3]}).row(0, named=True)

    assert (row["dice"], row["organs"]) == (pytest.approx(0.55), 2)


def test_each_seed_is_a_row_of_its_own():
    frame = pl.concat([make_scores([("base", "a", 1, 0.5)], seed=0), make_scores([("base", "a", 1, 0.7)], seed=1)])

    assert summary(frame, "raw", {"word": [1]}).select("seed", "dice").rows() == [(0, 0.5), (1, 0.7)]


def test_a_dataset_without_common_labels_is_refused():
    with pytest.raises(ValueError, match="common_labels must name every dataset, but lacks word"):
        summary(TWO_ORGANS, "raw", {"btcv": [1]})


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_change_a_bit(random):
    rows = [
        (v, c, i, (7 * n % 11) / 13)
        for n, (v, c, i) in enumerate((v, c, i) for v in "zab" for c in "xyz" for i in (2, 1))
    ]
    shuffled = random.sample(rows, len(rows))

    assert summary(make_scores(shuffled), "raw", {"word": [1, 2]}).equals(
        summary(make_scores(rows), "raw", {"word": [1, 2]})
    )
