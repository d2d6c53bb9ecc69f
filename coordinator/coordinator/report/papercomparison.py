"""Our numbers and the paper's, side by side, where the paper has the same label version of the same dataset."""

from collections.abc import Iterable

import polars as pl

from coordinator.report.texttables import TextTable
from coordinator.results import paper
from coordinator.results.run import Run
from coordinator.results.summaries import METRICS, MeanScore, Results
from coordinator.study.steps import BASE, NO_PRETRAIN
from coordinator.verdict.sentences import format_points


def compare_with_paper(run: Run, results: Results) -> list[TextTable]:
    """A table for each of the paper's tables that has cells of this study."""
    scores = [(v, d.name, results.labels(d.name, v)) for v in run.versions for d in run.datasets]
    tables = [_compare_with_table("label_quality", "Table 1", "labels", scores)]
    for transfer in run.transfers:
        target = transfer.target
        if target in paper.TARGETS:
            number = "Table 2" if paper.TARGETS[target] == "segthor" else "Table 3"
            scores = [
                (v, d.name, results.transfer(target, d.name, v))
                for v in (NO_PRETRAIN, BASE, *run.versions)
                for d in run.datasets
            ]
            tables.append(_compare_with_table(paper.TARGETS[target], number, f"fine-tuned on {target}", scores))
    return [table for table in tables if table]


def _compare_with_table(
    paper_table: str, number: str, subject: str, scores: Iterable[tuple[str, str, MeanScore | None]]
) -> TextTable | None:
    """Compare scores, each with version and dataset, with one of the paper's tables; None where it has none of them."""
    rows = []
    for version, dataset, score in scores:
        cell = paper.cell(paper_table, version, dataset)
        if cell and score:
            rows += [(version, dataset, metric, 100 * getattr(score, metric), cell[metric]) for metric in METRICS]
    if not rows:
        return None
    return TextTable(
        name=f"beside-paper-{paper_table.replace('_', '-')}",
        caption=f"Compared with the paper's {number} ({subject}): mean in percent.",
        columns=("label version", "dataset", "metric", "ours", "paper", "difference"),
        rows=tuple(
            (version, dataset, METRICS[metric], f"{our_mean:.1f}", f"{paper_mean:.1f}",
             format_points((our_mean - paper_mean) / 100))
            for version, dataset, metric, our_mean, paper_mean in rows
        ),
        notes=("Cases, splits, tolerance and convention may differ from the paper's.",),
        tidy=pl.DataFrame(rows, schema=["version", "dataset", "metric", "ours", "paper"], orient="row"),
    )  # fmt: skip
