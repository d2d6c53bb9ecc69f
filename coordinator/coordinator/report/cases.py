"""Case by case: how good each label version of a case is, and how good the networks are on the held-out ones.

A case's score is the mean over the organs that means are over, of those that the rule for empty masks counts.
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from coordinator.report.tables import DIGITS
from coordinator.results.run import Dataset, Run
from coordinator.scoring import conventions
from coordinator.study.steps import BASE

LABELS, NETWORK = "labels", "network"


@dataclass(frozen=True, slots=True, eq=False)
class CaseTable:
    """A row a case, a column a label version, of one dataset.

    Attributes:
        name: of its file.
        dataset: whose cases.
        caption: what it shows.
        columns: (what is scored, version, seed or None), as heads of the numbers.
        rows: case, whether it is held out, and a Dice in percent a column; None where there is none.
        tidy: the numbers behind it, in [0, 1].
    """

    name: str
    dataset: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, bool, tuple[float | None, ...]], ...]
    tidy: pl.DataFrame

    def write(self, folder: Path) -> None:
        """Write `name.csv` into a folder that exists."""
        self.tidy.write_csv(folder / f"{self.name}.csv")


def per_case(run: Run, dataset: Dataset) -> pl.DataFrame:
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
    scored = conventions.apply(run.score.empty, pl.concat(frames, how="diagonal_relaxed"))
    return (
        scored.with_columns(pl.col("dice", "surface_dice").fill_nan(None))
        .sort(*keys, "label")
        .group_by(keys, maintain_order=True)
        .agg(
            pl.col("dice").mean().round(DIGITS), pl.col("surface_dice").mean().round(DIGITS),
            pl.col("dice").count().cast(pl.Int64).alias("organs"),
        )
        .select(*SCHEMA)
    )  # fmt: skip


SCHEMA: dict[str, type[pl.DataType]] = {
    "what": pl.String, "version": pl.String, "seed": pl.Int64, "case": pl.String, "dice": pl.Float64,
    "surface_dice": pl.Float64, "organs": pl.Int64,
}  # fmt: skip


def table(run: Run, dataset: Dataset, scores: pl.DataFrame) -> CaseTable | None:
    """The case table of a dataset; None where nothing was scored.

    Args:
        run: the run.
        dataset: whose cases.
        scores: of `per_case`.
    """
    if scores.is_empty():
        return None
    over_seeds = scores.group_by("what", "version", "case", maintain_order=True).agg(pl.col("dice").mean())
    numbers = {(row["what"], row["version"], row["case"]): row["dice"] for row in over_seeds.iter_rows(named=True)}
    there = {(what, version) for what, version, _ in numbers}
    columns = [(w, v) for w in (LABELS, NETWORK) for v in (BASE, *dataset.versions) if (w, v) in there]
    held_out = dataset.split.holdout if dataset.split else ()
    names = sorted({case for _, _, case in numbers})
    return CaseTable(
        name=f"cases-{dataset.name}",
        dataset=dataset.name,
        caption=f"{dataset.name}: Dice of each case in percent, mean over {len(dataset.common)} organs"
        f"{', of networks over seeds too' if len(run.seeds) > 1 else ''}.",
        columns=tuple(f"{what}: {version}" for what, version in columns),
        rows=tuple((c, c in held_out, tuple(_percent(numbers.get((*column, c))) for column in columns)) for c in names),
        tidy=scores,
    )


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
