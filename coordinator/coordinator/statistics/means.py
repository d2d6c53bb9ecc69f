"""Means and standard deviations as in the paper: over the cases of an organ (eq. 2), then over organs (eq. 3, 4).

raw scores ──► convention ──► organ_table: mean, std over cases ──► summary: mean of means, rms of stds
"""

from collections.abc import Collection, Mapping

import polars as pl

from coordinator.scoring import conventions

METRICS = ("dice", "surface_dice")


def organ_table(frame: pl.DataFrame, convention: str) -> pl.DataFrame:
    """Mean and population standard deviation of each organ over cases; eq. 2.

    Args:
        frame: raw scores, one row for each case and organ. Each dataset, version and seed is a group of its own, where
            the frame has these columns; that of `score_folders` has none.
        convention: name of the scoring convention.

    Returns:
        One row for each group and label, sorted by these. Columns: (dataset), (version), (seed), label, organ, n,
        dice_mean, dice_std, surface_dice_mean, surface_dice_std. n is the number of cases that count; where none does,
        the means and deviations are null. All but n are in [0, 1].

    Raises:
        ValueError: no convention has that name.
    """
    scored = conventions.apply(convention, frame).with_columns(pl.col(METRICS).fill_nan(None))
    keys = [*_groups(frame), "label", "organ"]
    # Sorted by case first: a sum of floats depends on its order, but the table must not depend on the frame's order.
    return (
        scored.sort(*keys, "case")
        .group_by(keys, maintain_order=True)
        .agg(
            pl.col("dice").count().cast(pl.Int64).alias("n"),
            *(
                s
                for m in METRICS
                for s in (pl.col(m).mean().alias(f"{m}_mean"), pl.col(m).std(ddof=0).alias(f"{m}_std"))
            ),
        )
        .sort(keys)
    )


def summary(frame: pl.DataFrame, convention: str, common_labels: Mapping[str, Collection[int]]) -> pl.DataFrame:
    """One Dice and one surface Dice for each label version: mean of organ means, root mean square of stds; eq. 4.

    Args:
        frame: raw scores, one row for each case and organ; with a column `seed`, each seed is a group of its own.
        convention: name of the scoring convention.
        common_labels: dataset -> labels that every generator can make (eq. 3); other labels are left out.

    Returns:
        One row for each dataset, version and (seed), sorted by these. Columns: dataset, version, (seed), dice,
        dice_std, surface_dice, surface_dice_std, organs (how many of the common labels had a case that counts).

    Raises:
        ValueError: no convention has that name, or `common_labels` lacks a dataset.
    """
    unknown = sorted(set(frame["dataset"].unique()) - set(common_labels))
    if unknown:
        raise ValueError(f"common_labels must name every dataset, but lacks {', '.join(unknown)}")
    pairs = [(name, label) for name, labels in sorted(common_labels.items()) for label in sorted(set(labels))]
    common = pl.DataFrame(pairs, schema={"dataset": pl.String, "label": pl.Int64}, orient="row")
    keys = _groups(frame)
    return (
        organ_table(frame, convention)
        .filter(pl.col("n") > 0)
        .with_columns(pl.col("label").cast(pl.Int64))
        .join(common, on=["dataset", "label"], how="semi", maintain_order="left")
        .group_by(keys, maintain_order=True)
        .agg(
            *(s for m in METRICS for s in (pl.col(f"{m}_mean").mean().alias(m), _root_mean_square(f"{m}_std"))),
            pl.len().cast(pl.Int64).alias("organs"),
        )
        .sort(keys)
    )


def _groups(frame: pl.DataFrame) -> list[str]:
    return [name for name in ("dataset", "version", "seed") if name in frame.columns]


def _root_mean_square(column: str) -> pl.Expr:
    return (pl.col(column) ** 2).mean().sqrt().alias(column)
