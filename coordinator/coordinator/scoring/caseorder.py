"""In which order cases get better labels: drawn at random, or those first whose labels agree least with others."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from coordinator.scoring import conventions


def draw_order(cases: Sequence[str], seed: int) -> list[str]:
    """The cases in an order that depends on their names and the seed alone."""
    ordered = sorted(cases)
    return [ordered[i] for i in np.random.Generator(np.random.Philox(key=seed)).permutation(len(ordered))]


def rank_cases(frame: pl.DataFrame, cases: Sequence[str], version: str, convention: str) -> list[str]:
    """The cases, those of lowest mean Dice over organs first; equal ones by name, those without a Dice last.

    Args:
        frame: scores of a label version, or the agreement of several.
        cases: those to rank.
        version: the one whose rows count, where the frame has several.
        convention: what scores of empty masks count; an agreement is NaN there.
    """
    if "others_dice" in frame.columns:
        dice = frame.filter(pl.col("version") == version).rename({"others_dice": "dice"})
    else:
        dice = conventions.apply(convention, frame)
    means = dict(
        dice.drop_nans("dice").sort("case", "label").group_by("case").agg(pl.col("dice").mean().round(9)).iter_rows()
    )
    return sorted(cases, key=lambda case: (means.get(case, np.inf), case))
