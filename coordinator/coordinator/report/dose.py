"""Dose and response as a table: from each level of label quality to the next better one."""

from collections.abc import Sequence
from dataclasses import asdict

import polars as pl

from coordinator.report.failed import describe_failed
from coordinator.report.texttables import TextTable
from coordinator.results.run import Run, RunDataset
from coordinator.study.marks import DEGRADED
from coordinator.verdict.dose import Improvement, describe_errors, describe_smallest_gain, next_improvements
from coordinator.verdict.sentences import format_gain, format_points


def dose_table(run: Run, dataset: RunDataset, improvements: Sequence[Improvement]) -> TextTable:
    """From each level to the next better one, and the smallest gain in labels that is shown to improve the network."""
    levels = {run.reference} | {
        t.version for t in run.tools if t.dataset == dataset.name and t.record.get("tool") == DEGRADED
    }
    return TextTable(
        name=f"dose-response-{dataset.name}",
        caption=f"{dataset.name}: from each level of label quality to the next better one."
        f"{describe_failed(run, dataset.name, versions=levels)}",
        columns=(
            "from",
            "to",
            "labels (Dice points)",
            "network (Dice points, interval)",
            "networks shown to be better",
        ),
        rows=tuple(_row(improvement) for improvement in next_improvements(improvements)),
        notes=(
            describe_smallest_gain(improvements),
            describe_errors(run, dataset),
            "Intervals are those of the verdict's plan of tests.",
        ),
        tidy=pl.DataFrame([{**asdict(i), "is_shown": i.is_shown} for i in improvements], infer_schema_length=None),
    )


def _row(improvement: Improvement) -> tuple[str, ...]:
    gain = format_gain(improvement.gain, improvement.low, improvement.high)
    shown = "yes" if improvement.is_shown else "no" if improvement.seeds_known else "can't tell: one seed"
    return improvement.worse, improvement.better, format_points(improvement.label_gain), gain, shown
