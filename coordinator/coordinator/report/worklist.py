"""Where an hour of an annotator buys most: the cases and organs on which label versions disagree most."""

import polars as pl

from coordinator.report.sheets import Sheet
from coordinator.results.load import Run
from coordinator.scoring import conventions

LONGEST = 20
"""Rows on the page; the csv has all."""
DEGRADED = "degrade"
"""The tool whose versions are made worse on purpose, and say nothing about a case."""


def worklist(run: Run) -> Sheet | None:
    """Cases and organs by disagreement; None where no label version was scored.

    Disagreement is the standard deviation of Dice over label versions, the original (1 by definition) among them.
    """
    wrecked = {used.version for used in run.tools if used.record.get("tool") == DEGRADED}
    judged = [version for version in run.versions if version not in wrecked] or list(run.versions)
    if run.label_scores.is_empty():
        return None
    found = _disagreement(run, judged)
    if found.is_empty():
        return None
    rows = tuple(
        (r["dataset"], r["case"], r["organ"], f"{100 * r['lowest']:.1f} ({r['lowest_version']})",
         f"{100 * r['highest']:.1f} ({r['highest_version']})", f"{100 * r['disagreement']:.1f}")
        for r in found.head(LONGEST).iter_rows(named=True)
    )  # fmt: skip
    return Sheet(
        name="worklist",
        caption="Where an hour of an annotator buys most: masks on which label versions disagree most.",
        columns=("dataset", "case", "organ", "lowest Dice", "highest Dice", "disagreement (points)"),
        rows=rows,
        notes=(
            "Disagreement: standard deviation of Dice with the original over label versions, the original among them "
            f"({', '.join(judged)}); {len(rows)} of {found.height} masks, the others are in the csv.",
        ),
        tidy=found,
    )


def _disagreement(run: Run, judged: list[str]) -> pl.DataFrame:
    dice = pl.col("dice")
    return (
        conventions.apply(run.score.empty, run.label_scores)
        .filter(pl.col("version").is_in(judged) & dice.is_not_nan())
        .sort("dataset", "case", "label", "dice", "version")
        .group_by("dataset", "case", "label", "organ", maintain_order=True)
        .agg(
            dice.append(pl.lit(1.0)).std(ddof=0).alias("disagreement"),
            dice.first().alias("lowest"),
            pl.col("version").first().alias("lowest_version"),
            dice.last().alias("highest"),
            pl.col("version").last().alias("highest_version"),
        )
        .sort(pl.col("disagreement").round(9), "dataset", "case", "label", descending=[True, False, False, False])
    )
