"""HD95 and average surface distance over cases and organs, where a study measures them (`score.distances`).

A mask that only one map has is infinitely far away, and one that neither has is nowhere. No mean can count them, so
their numbers stand beside it.
"""

from collections.abc import Collection, Mapping

import polars as pl

from coordinator.results.run import Run

DISTANCES = {"hd95_mm": "HD95", "assd_mm": "average surface distance"}


def label_distances(run: Run) -> pl.DataFrame:
    """Distances of label versions from the reference labels; see `summarise_distances`."""
    return summarise_distances(run.label_scores, run.common_labels)


def network_distances(run: Run) -> pl.DataFrame:
    """Distances of networks' predictions of held-out cases from the reference labels; see `summarise_distances`."""
    return summarise_distances(run.model_scores.filter(pl.col("seed").is_in(list(run.seeds))), run.common_labels)


def transfer_distances(run: Run, target: str) -> pl.DataFrame:
    """The same of networks that were fine-tuned on a target; `dataset` is the one they were pre-trained on."""
    transfer = next(transfer for transfer in run.transfers if transfer.target == target)
    scores = transfer.scores.filter(pl.col("seed").is_in(list(run.seeds)))
    return summarise_distances(scores, {dataset.name: tuple(transfer.labels) for dataset in run.datasets})


def summarise_distances(scores: pl.DataFrame, common_labels: Mapping[str, Collection[int]]) -> pl.DataFrame:
    """Summarise distances in mm: the mean over cases of each organ, then over organs; and the median of all masks.

    Args:
        scores: raw scores, one row for each case and organ; of all seeds.
        common_labels: dataset -> labels to count.

    Returns:
        One row for each dataset and version, in the order of the frame: hd95_mm, hd95_mm_median, assd_mm,
        assd_mm_median, n (masks with a distance), only_reference, only_prediction, neither (masks without one: who has
        the organ). Empty where no distances were measured; null where no mask has one.
    """
    if any(column not in scores.columns for column in DISTANCES):
        return pl.DataFrame()
    in_reference, in_prediction = pl.col("reference_voxels") > 0, pl.col("prediction_voxels") > 0
    keys = ["dataset", "version"]
    measured = pl.all_horizontal(pl.col(column).is_finite() for column in DISTANCES)
    common = pl.concat([
        scores.filter((pl.col("dataset") == dataset) & pl.col("label").is_in(list(labels)))
        for dataset, labels in common_labels.items()
    ]).filter(pl.all_horizontal(pl.col(column).is_not_null() for column in DISTANCES))  # fmt: skip
    if common.is_empty():
        return pl.DataFrame()
    counts = common.group_by(keys, maintain_order=True).agg(
        *(pl.col(column).filter(measured).median().alias(f"{column}_median") for column in DISTANCES),
        measured.sum().cast(pl.Int64).alias("n"),
        (in_reference & ~in_prediction).sum().cast(pl.Int64).alias("only_reference"),
        (~in_reference & in_prediction).sum().cast(pl.Int64).alias("only_prediction"),
        (~in_reference & ~in_prediction).sum().cast(pl.Int64).alias("neither"),
    )
    # Sorted first: a sum of floats depends on its order.
    means = (
        common.filter(measured)
        .sort(*keys, "label", "case")
        .group_by(*keys, "label", maintain_order=True)
        .agg(pl.col(list(DISTANCES)).mean())
        .group_by(keys, maintain_order=True)
        .agg(pl.col(list(DISTANCES)).mean())
    )
    columns = [name for column in DISTANCES for name in (column, f"{column}_median")]
    return counts.join(means, on=keys, how="left", maintain_order="left").select(
        *keys, *columns, "n", "only_reference", "only_prediction", "neither"
    )
