"""The verdict as tables: over all organs, and organ by organ."""

from collections.abc import Sequence
from dataclasses import asdict

import polars as pl

from coordinator.report.marks import mark_notes, mark_version
from coordinator.report.texttables import TextTable
from coordinator.results.run import Run
from coordinator.verdict.decide import Finding, is_equivalent
from coordinator.verdict.outcome import CANNOT_TELL, GAIN, NOT_WORTH_IT, WORTH_IT
from coordinator.verdict.sentences import (
    NO_NUMBER,
    describe_networks,
    describe_outcome,
    describe_scope,
    describe_tests,
    format_gain,
    format_margin,
    format_points,
    format_price,
)
from coordinator.verdict.testplan import make_test_plan

ALL_ORGANS = "all organs"


def verdict_tables(findings: Sequence[Finding], run: Run) -> list[TextTable]:
    """The verdict over all organs, then organ by organ; none where nothing was compared."""
    over_all = [finding for finding in findings if finding.organ is None]
    by_organ = [finding for finding in findings if finding.organ is not None]
    parts = (("verdict", "over all organs", over_all), ("verdict-organs", "organ by organ", by_organ))
    return [_verdict_table(name, scope, rows, run) for name, scope, rows in parts if rows]


def _verdict_table(name: str, scope: str, findings: Sequence[Finding], run: Run) -> TextTable:
    priced = any(finding.hours is not None for finding in findings)
    return TextTable(
        name=name,
        caption=f"Is it worth it, {scope}: what the reference labels gain over each label version.",
        columns=("where", "label version", *([] if name == "verdict" else ["organ"]), "labels (Dice points)",
                 "network (Dice points, interval)", "network (Surface Dice points, interval)", "cases", "networks",
                 "equivalent", "verdict", *(["hours for each Dice point"] if priced else [])),
        rows=tuple(_row(f, run, with_organ=name != "verdict", priced=priced) for f in findings),
        notes=(*_notes(run), *(_price_notes(run) if priced else ()), *mark_notes(run, [f.version for f in findings])),
        tidy=pl.DataFrame(
            [{**asdict(finding), "left_out": "; ".join(finding.left_out)} for finding in findings],
            infer_schema_length=None,
        ).with_columns(pl.col("organ").fill_null(ALL_ORGANS), pl.col("target").cast(pl.String).fill_null("in-domain")),
    )  # fmt: skip


def _row(finding: Finding, run: Run, *, with_organ: bool, priced: bool) -> tuple[str, ...]:
    return (
        describe_scope(finding), mark_version(run, finding.version), *([finding.organ or ""] if with_organ else []),
        format_points(finding.label_gain), format_gain(finding.gain, finding.low, finding.high),
        format_gain(finding.surface_gain, finding.surface_low, finding.surface_high),
        f"{finding.cases}" if finding.cases else NO_NUMBER, describe_networks(finding),
        "yes" if is_equivalent(finding, run.verdict) else "not shown", describe_outcome(finding),
        *([format_price(finding)] if priced else []),
    )  # fmt: skip


def _notes(run: Run) -> tuple[str, ...]:
    margins = f"{format_margin(run.verdict.margin)} and {100 * run.verdict.surface_margin:g} of Surface Dice"
    return (
        f"“{WORTH_IT}”: the interval of the gain in Dice or in Surface Dice lies at or above its margin ({margins}). "
        f"“{GAIN}”: an interval lies above 0. “{NOT_WORTH_IT}”: both intervals lie below their margins, in enough "
        f"cases to have met a rare failure. “{CANNOT_TELL}”: none of these is shown. The number of held-out cases is "
        "that with which most such studies would come to an outcome, if the gain is as large as the one found.",
        f"{describe_tests(make_test_plan(run))}; organs share a sixth of their comparison's part, and steps of label "
        "quality another.",
        _describe_seeds(run),
        f"Equivalent: the interval in Dice lies within ± {format_margin(run.verdict.margin)}, in at least as many "
        f"cases as “{NOT_WORTH_IT}” needs.",
    )


def _describe_seeds(run: Run) -> str:
    """What the intervals say about other seeds."""
    if run.verdict.seed_std is not None:
        return (
            f"Where no label version has two seeds, a standard deviation of {format_points(run.verdict.seed_std)[1:]} "
            f"Dice points over seeds is taken from: {run.verdict.seed_std_source}. That of Surface Dice is not known "
            f"then, so it is left out, and nothing is called “{NOT_WORTH_IT}”."
        )
    if len(run.seeds) > 1:
        return "Intervals include cases and seeds: they hold for networks with other seeds, too, unless these fail."
    return (
        "A label version with one network is judged by the noise of those that have several; where none has, intervals "
        "hold for these very networks only, and no outcome is given."
    )


def _price_notes(run: Run) -> tuple[str, ...]:
    most = run.verdict.max_hours_per_point
    limit = (
        f". A gain in Dice that takes more than {most:g} hours for each point is “{NOT_WORTH_IT}”, unless Surface Dice "
        "gains too"
        if most
        else ""
    )
    return (
        f"Hours: {run.verdict.minutes_per_mask:g} minutes for each mask of the training cases' reference "
        f"labels{limit}. Label versions that were made from the reference labels have none: without these labels they "
        "could not be had.",
    )
