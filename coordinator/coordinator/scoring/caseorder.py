"""In which order cases get better labels: drawn at random, or those first whose labels agree least with others."""

from collections.abc import Collection, Sequence

import numpy as np
import polars as pl

from coordinator.scoring import conventions

CONVENTION = "paper"
"""Whatever that of the study: an organ that neither map has says nothing, one that only one map has is wrong."""


def draw_order(cases: Sequence[str], seed: int) -> list[str]:
    """The cases in an order that depends on their names and the seed alone."""
    ordered = sorted(cases)
    return [ordered[i] for i in np.random.Generator(np.random.Philox(key=seed)).permutation(len(ordered))]


def rank_cases(frame: pl.DataFrame, cases: Sequence[str], version: str, labels: Collection[int]) -> list[str]:
    """The cases, those of lowest mean Dice over organs first; equal ones by name, those without a Dice last.

    Args:
        frame: scores of a label version, or the agreement of several.
        cases: those to rank.
        version: the one whose rows count, where the frame has several.
        labels: ids of the organs that count.
    """
    if "others_dice" in frame.columns:
        dice = frame.filter(pl.col("version") == version).rename({"others_dice": "dice"})
    else:
        dice = conventions.apply(CONVENTION, frame)
    counted = dice.filter(pl.col("label").is_in(list(labels))).drop_nans("dice").sort("case", "label")
    means = dict(counted.group_by("case").agg(pl.col("dice").mean().round(9)).iter_rows())
    return sorted(cases, key=lambda case: (means.get(case, np.inf), case))
