"""Our numbers beside the paper's, where it has the same label version of the same dataset."""

from collections.abc import Callable, Iterable

import polars as pl

from coordinator.report.sheets import Sheet
from coordinator.results import paper
from coordinator.results.run import Run
from coordinator.results.summaries import METRICS, MeanScore, Results
from coordinator.study.steps import BASE, NO_PRETRAIN
from coordinator.verdict.sentences import format_points


def beside_the_paper(run: Run, results: Results) -> list[Sheet]:
    """A sheet for each of the paper's tables that this study has cells of."""
    quality = _sheet(
        "label_quality", "Table 1", "labels", run,
        ((v, results.labels) for v in run.versions),
    )  # fmt: skip
    sheets = [quality]
    for transfer in run.transfers:
        if transfer.target in paper.TARGETS:
            number = "Table 2" if paper.TARGETS[transfer.target] == "segthor" else "Table 3"
            of_target = _of_target(results, transfer.target)
            versions = ((v, of_target) for v in (NO_PRETRAIN, BASE, *run.versions))
            sheets.append(
                _sheet(paper.TARGETS[transfer.target], number, f"fine-tuned on {transfer.target}", run, versions)
            )
    return [sheet for sheet in sheets if sheet]


Lookup = Callable[[str, str], MeanScore | None]


def _of_target(results: Results, target: str) -> Lookup:
    return lambda dataset, version: results.transfer(target, dataset, version)


def _sheet(table: str, number: str, what: str, run: Run, versions: Iterable[tuple[str, Lookup]]) -> Sheet | None:
    rows = []
    for version, ours in versions:
        for dataset in run.datasets:
            theirs, mine = paper.cell(table, version, dataset.name), ours(dataset.name, version)
            for metric in METRICS if theirs and mine else ():
                rows.append(
                    (version, dataset.name, metric, 100 * getattr(mine, metric), theirs[metric] if theirs else 0.0)
                )
    if not rows:
        return None
    names = ["version", "dataset", "metric", "ours", "paper"]
    return Sheet(
        name=f"beside-paper-{table.replace('_', '-')}",
        caption=f"Beside the paper's {number} ({what}): mean in percent.",
        columns=("label version", "dataset", "metric", "ours", "paper", "difference"),
        rows=tuple(
            (v, d, METRICS[m], f"{mine:.1f}", f"{theirs:.1f}", format_points((mine - theirs) / 100))
            for v, d, m, mine, theirs in rows
        ),
        notes=("Cases, splits, tolerance and the rule for empty masks may differ from the paper's.",),
        tidy=pl.DataFrame(rows, schema=names, orient="row"),
    )
