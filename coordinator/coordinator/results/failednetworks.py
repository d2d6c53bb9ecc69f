"""Networks that learned nothing. They are named and compared with no other, since their scores measure no labels.

A network failed where

    its loss          was not finite, as the trainer recorded
    its Dice          on the held-out cases is below a floor
    a common organ    is predicted in none of the held-out cases that have it

The paper does the same: "Cells, where training did not converge, are marked".
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

LOWEST_DICE = 0.05
"""Mean Dice below which a network learned nothing. Measured: 0.01 after four batches, 0.5 and more for the networks of
the demo; the paper's lowest is 0.835, and its worst labels have 0.39."""
FEWEST_CASES = 3
"""Held-out cases that must have an organ before its absence from all predictions counts. An organ that is hard to see
is missed in one case or two by networks that learned well."""


@dataclass(frozen=True, slots=True)
class FailedNetwork:
    """A network whose scores take part in nothing.

    Attributes:
        dataset: whose label version it was trained on.
        target: the target dataset that it was fine-tuned on; None in-domain.
        version: the label version.
        seed: of its training.
        reason: what it did, such as "did not converge: the loss is nan".
        fold: whose held-out cases it was tested on; None where there is one split.
    """

    dataset: str
    target: str | None
    version: str
    seed: int
    reason: str
    fold: int | None = None

    @property
    def name(self) -> str:
        """The network in words, such as "word to segthor: base, seed 0"."""
        fold = "" if self.fold is None else f", fold {self.fold}"
        return f"{self.dataset}{f' to {self.target}' if self.target else ''}: {self.version}, seed {self.seed}{fold}"


def find_failure(scores: pl.DataFrame, organs: Mapping[int, str], held_out: int) -> str | None:
    """Say why a network counts as failed by its scores; None where it learned something, or nothing was scored.

    Cases without an organ say nothing about it, whatever the convention gives for them.

    Args:
        scores: raw scores of one network, with case, label, dice, reference_voxels and prediction_voxels.
        organs: ids that means are over -> organs.
        held_out: number of held-out cases; an organ's absence counts where `FEWEST_CASES` of them have it, or all.

    Returns:
        What the network did, to be read after "the network": "predicts aorta in none of 5 held-out cases that have it".
    """
    present = _select_present(scores, organs)
    if present.is_empty():
        return None
    if nothing := find_nothing(scores, organs):
        return nothing
    by_organ = (
        present.sort("label", "case")
        .group_by("label", maintain_order=True)
        .agg(pl.col("dice").mean(), pl.len().alias("cases"), pl.col("prediction_voxels").sum())
    )
    dice = sum(by_organ["dice"]) / by_organ.height
    if dice < LOWEST_DICE:
        return f"has Dice {100 * dice:.1f} on the held-out cases, below the floor of {100 * LOWEST_DICE:g}"
    missed = by_organ.filter((pl.col("prediction_voxels") == 0) & (pl.col("cases") >= min(FEWEST_CASES, held_out)))
    if missed.is_empty():
        return None
    return "predicts " + " and ".join(
        f"{organs[label]} in none of the {cases} held-out cases that have it"
        for label, cases in missed.select("label", "cases").iter_rows()
    )


def find_nothing(scores: pl.DataFrame, organs: Mapping[int, str]) -> str | None:
    """Say that a network predicts no voxel of any organ; None where it predicts some, or nothing was scored."""
    present = _select_present(scores, organs)
    if present.is_empty() or present["prediction_voxels"].sum():
        return None
    return f"predicts none of the {present['reference_voxels'].sum():,} voxels that the reference labels have"


def _select_present(scores: pl.DataFrame, organs: Mapping[int, str]) -> pl.DataFrame:
    """The rows of organs that their cases have."""
    return scores.filter(pl.col("label").is_in(list(organs)) & (pl.col("reference_voxels") > 0))


def count_failed(failed: Iterable[FailedNetwork], target: str | None = None) -> dict[tuple[str, str], int]:
    """(dataset, label version) -> how many of its seeds failed, in-domain or on a target; only those with any.

    A seed of which the network of one fold failed counts as failed: its mean over all cases is not known.
    """
    # Not a set, whose order differs from one process to the next, and so would the report's bytes.
    seeds = dict.fromkeys((n.dataset, n.version, n.seed) for n in failed if n.target == target)
    return dict(Counter((dataset, version) for dataset, version, _ in seeds))
