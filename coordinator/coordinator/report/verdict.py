"""The verdict as tables: over all organs, and organ by organ."""

from collections.abc import Sequence
from dataclasses import asdict

import polars as pl

from coordinator.report.texttables import TextTable
from coordinator.study.file import VerdictSettings
from coordinator.verdict.decide import CANNOT_TELL, NOT_WORTH_IT, WORTH_IT, Finding, is_equivalent
from coordinator.verdict.sentences import (
    NO_NUMBER,
    describe_outcome,
    describe_scope,
    format_gain,
    format_hours,
    format_margin,
    format_points,
)

ALL_ORGANS = "all organs"


def verdict_tables(findings: Sequence[Finding], settings: VerdictSettings) -> list[TextTable]:
    """The verdict over all organs, then organ by organ; none where nothing was compared."""
    over_all = [finding for finding in findings if finding.organ is None]
    by_organ = [finding for finding in findings if finding.organ is not None]
    parts = (("verdict", "over all organs", over_all), ("verdict-organs", "organ by organ", by_organ))
    return [_verdict_table(name, scope, rows, settings) for name, scope, rows in parts if rows]


def _verdict_table(name: str, scope: str, findings: Sequence[Finding], settings: VerdictSettings) -> TextTable:
    share = f"{100 * (1 - settings.alpha):g} %"
    return TextTable(
        name=name,
        caption=f"Is it worth it, {scope}: what the reference labels gain over each label version.",
        columns=("where", "label version", *([] if name == "verdict" else ["organ"]), "labels (Dice points)",
                 f"network (Dice points, {share} interval)", "cases × seeds", "equivalent", "verdict",  # noqa: RUF001
                 "hours per point"),
        rows=tuple(_row(finding, settings, with_organ=name != "verdict") for finding in findings),
        notes=_notes(findings, settings),
        tidy=pl.DataFrame(
            [{**asdict(f), "within_noise": f.within_noise, "hours_per_point": f.hours_per_point} for f in findings],
            infer_schema_length=None,
        ).with_columns(pl.col("organ").fill_null(ALL_ORGANS), pl.col("target").cast(pl.String).fill_null("in-domain")),
    )  # fmt: skip


def _row(finding: Finding, settings: VerdictSettings, *, with_organ: bool) -> tuple[str, ...]:
    gain = format_gain(finding.gain, finding.low, finding.high)
    noise = " (within the noise of seeds)" if finding.within_noise else ""
    return (
        describe_scope(finding), finding.version, *([finding.organ or ""] if with_organ else []),
        format_points(finding.label_gain), f"{gain}{noise}",
        f"{finding.cases} × {finding.seeds}" if finding.cases else NO_NUMBER,  # noqa: RUF001
        "yes" if is_equivalent(finding, settings) else "not shown", describe_outcome(finding),
        NO_NUMBER if finding.hours_per_point is None else format_hours(finding.hours_per_point),
    )  # fmt: skip


def _notes(findings: Sequence[Finding], settings: VerdictSettings) -> tuple[str, ...]:
    margin, share = format_margin(settings.margin), f"{100 * (1 - settings.alpha):g} %"
    one_seed = any(finding.seeds == 1 for finding in findings)
    return (
        f"“{WORTH_IT}”: the network's gain is shown to be above 0, is at least {margin}, and is larger than "
        f"differences between seeds. “{NOT_WORTH_IT}”: the gain is shown to be below {margin}. “{CANNOT_TELL}”: "
        "neither is shown; with the given number of held-out cases, four of five such studies would show a gain of "
        "this size, or of the margin where that is larger.",
        f"Equivalent: shown to differ by less than {margin} (two one-sided tests). Tests are at "
        f"{100 * settings.alpha:g} % for all rows with the same entry under “where” together (Holm). Each interval is "
        f"of {share}, from resampled cases"
        + ("; with one seed it holds for these networks only, and another seed may shift it."
           if one_seed else " and seeds."),
        f"Hours: {settings.minutes_per_mask:g} minutes for each mask of the training cases.",
    )  # fmt: skip
