"""Dose and response as a table: from each level of label quality to the next better one."""

from collections.abc import Sequence

import polars as pl

from coordinator.report.sheets import Sheet
from coordinator.results.run import Dataset, Run
from coordinator.verdict.dose import Step, describe_smallest_gain
from coordinator.verdict.sentences import format_gain, format_points


def dose_response(run: Run, dataset: Dataset, steps: Sequence[Step]) -> Sheet:
    """From each level to the next better one, and the smallest gain in labels that bought one of the network."""
    ends = {step.worse: step for step in reversed(steps)}  # the smallest step up from each level
    share = f"{100 * (1 - run.verdict.alpha):g} %"
    return Sheet(
        name=f"dose-response-{dataset.name}",
        caption=f"{dataset.name}: from each level of labels to the next better one.",
        columns=("from", "to", "labels (Dice points)", f"network (Dice points, {share} interval)", "p (Holm)"),
        rows=tuple(_row(ends[worse]) for worse in dict.fromkeys(step.worse for step in steps)),
        notes=(describe_smallest_gain(steps, run.verdict.alpha),),
        tidy=pl.DataFrame(steps, infer_schema_length=None),
    )


def _row(step: Step) -> tuple[str, ...]:
    gain = format_gain(step.gain, step.low, step.high)
    p_value = "< 0.001" if step.p_value < 0.001 else f"{step.p_value:.3f}"
    return step.worse, step.better, format_points(step.label_gain), gain, p_value
