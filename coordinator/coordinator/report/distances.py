"""HD95 and average surface distance as tables, where a study measures them (`score.distances`)."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from coordinator.report.texttables import TextTable
from coordinator.results.distances import label_distances, network_distances, transfer_distances
from coordinator.results.run import Run
from coordinator.verdict.sentences import NO_NUMBER

NOTE = (
    "First the mean over the cases of each organ, then over organs; in brackets the median of all masks. A mask that "
    "only one map has, or neither, has no distance and is left out: n is the number of masks that have one. So a row "
    "that lacks organs of the reference can look better than it is; compare rows of the same n."
)


def distance_tables(run: Run) -> list[TextTable]:
    """A table of label versions, one of networks, one for each target; none where no distances were measured."""
    if not run.score.distances:
        return []
    tables = [
        _table("labels", "Distances of label versions from the reference labels", label_distances(run)),
        _table(
            "networks",
            "Distances of networks' predictions of held-out cases from the reference labels",
            network_distances(run),
        ),
        *(
            _table(
                f"transfer-{t.target}",
                f"Distances of predictions of networks fine-tuned on {t.target} from its reference labels",
                transfer_distances(run, t.target),
            )
            for t in run.transfers
        ),
    ]
    return [table for table in tables if table]


def _table(name: str, subject: str, distances: pl.DataFrame) -> TextTable | None:
    if distances.is_empty():
        return None
    return TextTable(
        name=f"distances-{name}",
        caption=f"{subject}: mean (median) in mm.",
        columns=("dataset", "label version", "HD95", "average surface distance", "n", "only in the reference",
                 "only in the prediction", "in neither"),
        rows=tuple(_rows(distances)),
        notes=(f"{NOTE}{' Masks of all seeds are counted.' if name != 'labels' else ''}",),
        tidy=distances,
    )  # fmt: skip


def _rows(distances: pl.DataFrame) -> Iterator[tuple[str, ...]]:
    for row in distances.iter_rows(named=True):
        counts = (f"{row[name]:,}" for name in ("n", "only_reference", "only_prediction", "neither"))
        yield row["dataset"], row["version"], _format(row, "hd95_mm"), _format(row, "assd_mm"), *counts


def _format(row: Mapping[str, Any], column: str) -> str:
    """A mean with its median, such as "4.2 (3.0)"."""
    return NO_NUMBER if row[column] is None else f"{row[column]:.1f} ({row[f'{column}_median']:.1f})"
