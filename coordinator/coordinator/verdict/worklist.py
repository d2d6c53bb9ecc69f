"""Where an annotator should look first: the masks on which label versions disagree most."""

import polars as pl

from coordinator.results.run import Run
from coordinator.scoring import conventions
from coordinator.study.marks import DEGRADED


def undegraded_versions(run: Run) -> list[str]:
    """Label versions that were not made worse on purpose; all, if every one was."""
    degraded = {used.version for used in run.tools if used.record.get("tool") == DEGRADED}
    return [version for version in run.versions if version not in degraded] or list(run.versions)


def mask_disagreement(run: Run) -> pl.DataFrame:
    """Rank masks by how much label versions disagree, most first.

    Disagreement is the standard deviation of Dice over the undegraded versions and the reference labels, whose Dice
    is 1.

    Returns:
        One row for each dataset, case and organ: `disagreement`, `lowest`, `lowest_version`, `highest`,
        `highest_version`; empty where no label version was scored.
    """
    if run.label_scores.is_empty():
        return pl.DataFrame()
    dice = pl.col("dice")
    return (
        conventions.apply(run.score.empty, run.label_scores)
        .filter(pl.col("version").is_in(undegraded_versions(run)) & dice.is_not_nan())
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
