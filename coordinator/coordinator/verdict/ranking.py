"""Does the winner depend on the rule? Ranks of label versions under each convention, and where these differ."""

from collections.abc import Collection, Mapping, Sequence

import polars as pl

from coordinator import statistics
from coordinator.scoring.conventions import CONVENTIONS
from coordinator.statistics.means import METRICS


def rankings(
    frame: pl.DataFrame, common_labels: Mapping[str, Collection[int]], conventions: Sequence[str] = tuple(CONVENTIONS)
) -> pl.DataFrame:
    """Rank label versions by each metric under each convention.

    Args:
        frame: raw scores, a row a case and organ, with dataset and version; seeds, where there are any, are averaged.
        common_labels: dataset -> labels that means are over.
        conventions: names. Of each, what is followed when tables are made: the rule for empty masks and the least Dice.
            Tolerances and slices stay those that the scores were made with.

    Returns:
        A row a dataset, metric ("dice", "surface_dice"), version and convention, sorted by these, with `mean` (of
        `statistics.summary`), `rank` (1 is best; equal means share the better rank; null where nothing counts) and
        `changes`: whether this version has not the same rank under all these conventions.

    Raises:
        ValueError: no such convention, or a dataset without common labels.
    """
    means = pl.concat([_means(frame, common_labels, convention) for convention in conventions])
    group = ["dataset", "metric", "convention"]
    rank = pl.col("mean").rank("min", descending=True).over(group).cast(pl.Int64)
    return (
        means.with_columns(rank.alias("rank"))
        .with_columns((pl.col("rank").n_unique().over("dataset", "metric", "version") > 1).alias("changes"))
        .sort("dataset", "metric", "version", "convention")
        .select("dataset", "metric", "version", "convention", "mean", "rank", "changes")
    )


def _means(frame: pl.DataFrame, common_labels: Mapping[str, Collection[int]], convention: str) -> pl.DataFrame:
    """A row a dataset, version and metric; null where no score counts."""
    versions = frame.select("dataset", "version").unique()
    summary = statistics.summary(frame, convention, common_labels)
    mean = summary.group_by("dataset", "version", maintain_order=True).agg(pl.col(METRICS).mean())
    return (
        versions.join(mean, on=["dataset", "version"], how="left")
        .unpivot(METRICS, index=["dataset", "version"], variable_name="metric", value_name="mean")
        .with_columns(pl.lit(convention).alias("convention"))
    )
