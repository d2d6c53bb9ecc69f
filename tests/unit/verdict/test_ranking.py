"""Ranks of versions under each convention, on numbers that can be checked in the head."""

import math

import polars as pl
import pytest

from coordinator.verdict.ranking import rank_versions


def scores(version: str, dices: list[float], reference: list[int], prediction: list[int]) -> pl.DataFrame:
    """One organ of one case each; surface Dice is as Dice."""
    cases = [f"case_{n}" for n in range(len(dices))]
    return pl.DataFrame(
        {
            "case": cases,
            "dice": dices,
            "surface_dice": dices,
            "reference_voxels": reference,
            "prediction_voxels": prediction,
        }
    ).with_columns(dataset=pl.lit("word"), version=pl.lit(version), label=1, organ=pl.lit("liver"))


# Where the reference has no liver, "careful" finds none, "bold" invents one; elsewhere "bold" is better.
CAREFUL = scores("careful", [0.8, math.nan], [9, 0], [9, 0])
BOLD = scores("bold", [0.9, 0.0], [9, 0], [9, 4])


def rank_of(frame: pl.DataFrame, version: str, convention: str) -> tuple[float, int, bool]:
    (row,) = frame.filter(version=version, convention=convention, metric="dice").iter_rows(named=True)
    return row["mean"], row["rank"], row["changes"]


def test_the_convention_decides_who_wins():
    ranks = rank_versions(pl.concat([CAREFUL, BOLD]), {"word": [1]}, ["flare21", "totalsegmentator"])

    assert rank_of(ranks, "careful", "flare21") == (pytest.approx(0.9), 1, True)
    assert rank_of(ranks, "bold", "flare21") == (pytest.approx(0.45), 2, True)
    assert rank_of(ranks, "careful", "totalsegmentator") == (pytest.approx(0.8), 2, True)
    assert rank_of(ranks, "bold", "totalsegmentator") == (pytest.approx(0.9), 1, True)


def test_ranks_that_are_the_same_everywhere_do_not_change():
    ranks = rank_versions(pl.concat([CAREFUL, BOLD]), {"word": [1]}, ["flare21", "raw"])

    assert not ranks["changes"].any()
    assert ranks.columns == ["dataset", "metric", "version", "convention", "mean", "rank", "changes"]


def test_equal_means_share_the_better_rank():
    twin = CAREFUL.with_columns(version=pl.lit("twin"))

    ranks = rank_versions(pl.concat([CAREFUL, twin, BOLD]), {"word": [1]}, ["flare21"])

    assert ranks.filter(metric="dice").select("version", "rank").rows() == [("bold", 3), ("careful", 1), ("twin", 1)]


def test_a_version_without_any_score_that_counts_has_no_rank():
    ranks = rank_versions(pl.concat([BOLD, scores("empty", [math.nan], [0], [0])]), {"word": [1]}, ["raw"])

    assert ranks.filter(metric="dice").select("version", "rank").rows() == [("bold", 1), ("empty", None)]


def test_seeds_are_averaged():
    first, second = (CAREFUL.with_columns(seed=n, dice=pl.Series([dice, math.nan])) for n, dice in ((0, 0.6), (1, 0.8)))

    ranks = rank_versions(pl.concat([first, second]), {"word": [1]}, ["raw"])

    assert rank_of(ranks, "careful", "raw")[0] == pytest.approx(0.7)
