"""Are the errors of a label version the same in every case? Signed volume errors, and the vote of the cases.

    scores ──► signed volume error of each mask ──► mean over cases, by organ: what is left is the same in every case
    shells ──► share that is labelled, mean over cases ──► vote: the shells labelled in more than half ──► its Dice

The vote is what is left of a version's labels once all that differs from case to case has cancelled out, as far as it
depends on the distance to the organ's surface. All is over masks of organs that the reference labels have.
"""

import polars as pl

from coordinator.results.run import Run, RunDataset
from coordinator.results.summaries import DIGITS

ORGAN_ERRORS = {
    "dataset": pl.String, "version": pl.String, "label": pl.Int64, "organ": pl.String, "cases": pl.Int64,
    "dice": pl.Float64, "volume_error": pl.Float64, "absolute_volume_error": pl.Float64, "vote_dice": pl.Float64,
}  # fmt: skip
GROUP = ["dataset", "version", "label", "organ"]


def organ_errors(run: Run, dataset: RunDataset) -> pl.DataFrame:
    """Errors of each common organ in each label version, over the cases whose reference labels have it.

    Returns:
        Columns: dataset, version, label, organ, cases; dice, the mean; volume_error, the mean of (voxels - reference
        voxels) / reference voxels; absolute_volume_error, the mean of its size; vote_dice, null where no shells were
        counted. In the order of the dataset's versions and labels. No rows where nothing was scored.
    """
    error = (pl.col("prediction_voxels") - pl.col("reference_voxels")) / pl.col("reference_voxels")
    organs = (
        _of_dataset(run.label_scores, dataset)
        .filter(pl.col("reference_voxels") > 0)
        .sort(*GROUP, "case")
        .group_by(GROUP, maintain_order=True)
        .agg(
            pl.len().cast(pl.Int64).alias("cases"), pl.col("dice").mean(),
            error.mean().alias("volume_error"), error.abs().mean().alias("absolute_volume_error"),
        )
    )  # fmt: skip
    order = pl.DataFrame({"version": dataset.versions}, schema={"version": pl.String})
    votes = vote_dice(_of_dataset(run.label_shells, dataset))
    return (
        order.join(organs, on="version", maintain_order="left_right")
        .join(votes, on=GROUP, how="left", maintain_order="left")
        .select(*ORGAN_ERRORS)
    )


def vote_dice(shells: pl.DataFrame) -> pl.DataFrame:
    """Dice of the majority vote of the cases with the reference labels, by organ.

    In each shell, the share of voxels that are labelled is averaged over the cases that have such a shell. The vote
    labels a shell where that is more than one half. It is compared with the reference labels on each case's own shells;
    then comes the mean over cases.

    Args:
        shells: dataset, version, and the columns of `coordinator.scoring.schema.SHELL_SCHEMA`.

    Returns:
        Columns: dataset, version, label, organ, vote_dice; no rows where there are no shells.
    """
    voxels, inside, voted = pl.col("voxels"), pl.col("distance_mm") < 0, pl.col("voted")
    share = (pl.col("labelled_voxels") / voxels).mean().over(*GROUP, "distance_mm")
    dice = 2 * voxels.filter(inside & voted).sum() / (voxels.filter(inside).sum() + voxels.filter(voted).sum())
    return (
        shells.sort(*GROUP, "distance_mm", "case")
        .with_columns((share > 0.5).alias("voted"))
        .group_by(*GROUP, "case", maintain_order=True)
        .agg(dice.alias("vote_dice"))
        .group_by(GROUP, maintain_order=True)
        .agg(pl.col("vote_dice").mean())
    )


def version_errors(organs: pl.DataFrame) -> pl.DataFrame:
    """Means over organs, for each label version.

    Args:
        organs: of `organ_errors`.

    Returns:
        Columns: dataset, version, organs, cases (most of an organ), dice, volume_error, organ_volume_error (the mean
        size of an organ's volume error), absolute_volume_error, vote_dice (null where it is for an organ).
    """
    means = ["dice", "volume_error", "organ_volume_error", "absolute_volume_error", "vote_dice"]
    return (
        organs.with_columns(pl.col("volume_error").abs().alias("organ_volume_error"))
        .group_by("dataset", "version", maintain_order=True)
        .agg(
            pl.len().cast(pl.Int64).alias("organs"),
            pl.col("cases").max(),
            *(pl.col(mean).mean().round(DIGITS) for mean in means[:-1]),
            pl.when(pl.col("vote_dice").null_count() == 0).then(pl.col("vote_dice").mean().round(DIGITS)),
        )
    )


def _of_dataset(frame: pl.DataFrame, dataset: RunDataset) -> pl.DataFrame:
    """The rows of a dataset's common organs."""
    return frame.filter((pl.col("dataset") == dataset.name) & pl.col("label").is_in(dataset.common))
