"""Case by case: how good each label version of a case is, and each network on the held-out cases."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from coordinator.report.failed import describe_failed
from coordinator.results.cases import LABELS, NETWORK
from coordinator.results.failednetworks import count_failed
from coordinator.results.run import Run, RunDataset
from coordinator.scoring.csvfiles import write_csv
from coordinator.verdict.sentences import count_noun


@dataclass(frozen=True, slots=True, eq=False)
class CaseTable:
    """A table of one dataset with a row for each case and a column for each label version and network.

    Attributes:
        name: of its file.
        dataset: whose cases.
        caption: what it shows.
        columns: "labels: VERSION" or "network: VERSION".
        rows: case, whether it is held out, and for each column a Dice in percent; None without scores.
        failed: columns whose networks all failed.
        tidy: the numbers behind it, in [0, 1].
    """

    name: str
    dataset: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, bool, tuple[float | None, ...]], ...]
    failed: tuple[str, ...]
    tidy: pl.DataFrame

    def write(self, folder: Path) -> None:
        """Write `name.csv` into a folder that exists."""
        write_csv(self.tidy, folder / f"{self.name}.csv")


def case_table(run: Run, dataset: RunDataset, scores: pl.DataFrame) -> CaseTable | None:
    """The case table of a dataset; None where nothing was scored.

    Args:
        run: the run.
        dataset: whose cases.
        scores: of `results.cases.case_scores`.
    """
    if scores.is_empty():
        return None
    over_seeds = scores.group_by("what", "version", "case", maintain_order=True).agg(pl.col("dice").mean())
    numbers = {(row["what"], row["version"], row["case"]): row["dice"] for row in over_seeds.iter_rows(named=True)}
    present = {(what, version) for what, version, _ in numbers}
    failed = {(NETWORK, v) for name, v in count_failed(run.failed_networks) if name == dataset.name} - present
    columns = [
        (w, v) for w in (LABELS, NETWORK) for v in (run.reference, *dataset.versions) if (w, v) in present | failed
    ]
    names = sorted({case for _, _, case in numbers})
    return CaseTable(
        name=f"cases-{dataset.name}",
        dataset=dataset.name,
        caption=f"{dataset.name}: Dice of each case in percent, mean over {count_noun(len(dataset.common), 'organ')}"
        f"{' (of networks also over seeds)' if len(run.seeds) > 1 else ''}.{describe_failed(run, dataset.name)}",
        columns=tuple(f"{what}: {version}" for what, version in columns),
        rows=tuple(
            (case, case in dataset.held_out, tuple(_percent(numbers.get((*column, case))) for column in columns))
            for case in names
        ),
        failed=tuple(f"{what}: {version}" for what, version in columns if (what, version) in failed),
        tidy=scores,
    )


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
