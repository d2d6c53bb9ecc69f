"""How good each label version of a case is, and each network on the held-out cases.

A case's score is the mean over the common organs, of those that the convention counts.
"""

import polars as pl

from coordinator.results.run import Run, RunDataset
from coordinator.results.summaries import DIGITS
from coordinator.scoring import conventions

LABELS, NETWORK = "labels", "network"

SCHEMA: dict[str, type[pl.DataType]] = {
    "what": pl.String, "version": pl.String, "seed": pl.Int64, "case": pl.String, "dice": pl.Float64,
    "surface_dice": pl.Float64, "organs": pl.Int64,
}  # fmt: skip


def case_scores(run: Run, dataset: RunDataset) -> pl.DataFrame:
    """Dice and surface Dice of each case.

    Returns:
        Columns what (labels or network), version, seed (null for labels), case, dice, surface_dice, organs (how many
        count); sorted by these. Without rows where nothing of this dataset was scored; scores are null where no organ
        counts.
    """
    frames = [
        scores.filter((pl.col("dataset") == dataset.name) & pl.col("label").is_in(dataset.common)).with_columns(
            pl.lit(what).alias("what"),
            (pl.col("seed") if what == NETWORK else pl.lit(None)).cast(pl.Int64).alias("seed"),
        )
        for what, scores in ((LABELS, run.label_scores), (NETWORK, run.model_scores))
        if not scores.is_empty()
    ]
    if not frames:
        return pl.DataFrame(schema=SCHEMA)
    keys = ["what", "version", "seed", "case"]
    counted = conventions.apply(run.score.empty, pl.concat(frames, how="diagonal_relaxed"))
    return (
        counted.with_columns(pl.col("dice", "surface_dice").fill_nan(None))
        .sort(*keys, "label")
        .group_by(keys, maintain_order=True)
        .agg(
            pl.col("dice").mean().round(DIGITS), pl.col("surface_dice").mean().round(DIGITS),
            pl.col("dice").count().cast(pl.Int64).alias("organs"),
        )
        .select(*SCHEMA)
    )  # fmt: skip
