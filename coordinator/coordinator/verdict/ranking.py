"""Does the best label version depend on the convention? Ranks under each convention, and where these differ.

Ranks only describe the means of this study; no test says that they would come out the same with other cases.
"""

from collections.abc import Collection, Mapping, Sequence

import polars as pl

from coordinator import statistics
from coordinator.scoring.conventions import CONVENTIONS
from coordinator.statistics.means import METRICS


def rank_versions(
    frame: pl.DataFrame, common_labels: Mapping[str, Collection[int]], conventions: Sequence[str] = tuple(CONVENTIONS)
) -> pl.DataFrame:
    """Rank label versions by each metric under each convention.

    Args:
        frame: raw scores, one row for each case and organ, with dataset and version; seeds are averaged.
        common_labels: dataset -> labels that means are over.
        conventions: names. Their rules for empty masks and for the least Dice are applied; tolerances and slices stay
            those of the scores.

    Returns:
        One row for each dataset, metric ("dice", "surface_dice"), version and convention, sorted by these, with `mean`
        (of `statistics.summary`), `rank` (1 is best; equal means share the better rank; null where nothing counts) and
        `changes`: whether the rank of this version differs between these conventions.

    Raises:
        ValueError: an unknown convention, or a dataset without common labels.
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
    """The mean of each dataset, version and metric; null where no score counts."""
    versions = frame.select("dataset", "version").unique(maintain_order=True)
    summary = statistics.summary(frame, convention, common_labels)
    mean = summary.group_by("dataset", "version", maintain_order=True).agg(pl.col(METRICS).mean())
    return (
        versions.join(mean, on=["dataset", "version"], how="left", maintain_order="left")
        .unpivot(METRICS, index=["dataset", "version"], variable_name="metric", value_name="mean")
        .with_columns(pl.lit(convention).alias("convention"))
    )
