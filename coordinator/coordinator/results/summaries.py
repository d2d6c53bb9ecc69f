"""The numbers behind tables, figures and sentences: each is computed here, once.

Networks of several seeds are one row: means are over seeds, standard deviations are their root mean square. A mean is
over all seeds of a version; the reference labels may have more of them (`noise_seeds`), as in the verdict's gains.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from coordinator import statistics
from coordinator.results.run import Run

METRICS = {"dice": "Dice", "surface_dice": "Surface Dice"}
DIGITS = 6
"""Of numbers in csv files: more than anyone needs, and few enough to be the same on every machine."""


@dataclass(frozen=True, slots=True)
class MeanScore:
    """Mean and standard deviation of both metrics in [0, 1], the number of cases, and that of a network's seeds."""

    dice: float
    dice_std: float
    surface_dice: float
    surface_dice_std: float
    cases: int
    seeds: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """All results of a run.

    Attributes:
        reference: the label version that is the truth.
        label_summary: one row for each dataset and version.
        label_organs: one row for each dataset, version and organ.
        model_summary: of networks on held-out cases, with `seeds` and the lowest and highest Dice over them.
        model_organs: of networks on held-out cases.
        transfers: target -> the summary of networks fine-tuned on it; empty where nothing was scored.
    """

    reference: str
    label_summary: pl.DataFrame
    label_organs: pl.DataFrame
    model_summary: pl.DataFrame
    model_organs: pl.DataFrame
    transfers: Mapping[str, pl.DataFrame]

    def labels(self, dataset: str, version: str) -> MeanScore | None:
        """Quality of a label version; None without scores. The reference is perfect by definition."""
        if version == self.reference:
            return MeanScore(1.0, 0.0, 1.0, 0.0, 0)
        return _score(self.label_summary, dataset, version)

    def model(self, dataset: str, version: str) -> MeanScore | None:
        """Quality on held-out cases of the networks trained on a label version; None without scores."""
        return _score(self.model_summary, dataset, version)

    def transfer(self, target: str, dataset: str, version: str) -> MeanScore | None:
        """Quality on a target of networks that were pre-trained on a label version; None without scores."""
        return _score(self.transfers[target], dataset, version)


def compute_results(run: Run) -> Results:
    """Compute all results of a run; frames are empty where nothing was scored."""
    empty = pl.DataFrame()
    labels, models = not run.label_scores.is_empty(), not run.model_scores.is_empty()
    return Results(
        reference=run.reference,
        label_summary=_summary(run, run.label_scores, run.common_labels) if labels else empty,
        label_organs=_organs(run, run.label_scores) if labels else empty,
        model_summary=_summary(run, run.model_scores, run.common_labels) if models else empty,
        model_organs=_organs(run, run.model_scores) if models else empty,
        transfers={
            t.target: _summary(run, t.scores, {d.name: tuple(t.labels) for d in run.datasets})
            for t in run.transfers
            if not t.scores.is_empty()
        }
        | {t.target: empty for t in run.transfers if t.scores.is_empty()},
    )


def _summary(run: Run, scores: pl.DataFrame, common: Mapping[str, Collection[int]]) -> pl.DataFrame:
    per_seed = statistics.summary(scores, run.score.empty, common)
    versions = scores.group_by("dataset", "version", maintain_order=True)
    cases = versions.agg(pl.col("case").n_unique().cast(pl.Int64).alias("cases"))
    return _average_seeds(per_seed, list(METRICS), [pl.col("organs").max()]).join(
        cases, on=["dataset", "version"], how="left", maintain_order="left"
    )


def _organs(run: Run, scores: pl.DataFrame) -> pl.DataFrame:
    table = statistics.organ_table(scores, run.score.empty)
    renamed = table.rename({f"{metric}_mean": metric for metric in METRICS})
    return _average_seeds(renamed, list(METRICS), [pl.col("n").max()], by=["dataset", "version", "label", "organ"])


def _average_seeds(
    frame: pl.DataFrame, metrics: list[str], further: list[pl.Expr], by: Sequence[str] = ("dataset", "version")
) -> pl.DataFrame:
    """Make one row of all seeds; a frame without `seed` keeps its rows."""
    columns: list[pl.Expr] = []
    for metric in metrics:
        columns += [pl.col(metric).mean(), (pl.col(f"{metric}_std") ** 2).mean().sqrt()]
    if "seed" in frame.columns:
        spread = [pl.col("dice").min().alias("dice_lowest_seed"), pl.col("dice").max().alias("dice_highest_seed")]
        columns += [pl.len().cast(pl.Int64).alias("seeds"), *spread]
    return frame.group_by(by, maintain_order=True).agg(*columns, *further).sort(by)


def _score(frame: pl.DataFrame, dataset: str, version: str) -> MeanScore | None:
    if frame.is_empty():
        return None
    row = frame.filter((pl.col("dataset") == dataset) & (pl.col("version") == version))
    if row.is_empty():
        return None
    numbers = row.row(0, named=True)
    names = ("dice", "dice_std", "surface_dice", "surface_dice_std", "cases")
    return MeanScore(**{name: numbers[name] for name in names}, seeds=numbers.get("seeds"))
