"""The verdict as tables: over all organs, and organ by organ."""

from collections.abc import Sequence
from dataclasses import asdict

import polars as pl

from coordinator.report.sheets import Sheet
from coordinator.study.file import VerdictSettings
from coordinator.verdict.decide import NOT_WORTH, OPEN, WORTH, Finding
from coordinator.verdict.sentences import (
    NO_NUMBER,
    describe_outcome,
    describe_scope,
    format_gain,
    format_hours,
    format_points,
)

ALL_ORGANS = "all organs"


def sheets(found: Sequence[Finding], settings: VerdictSettings) -> list[Sheet]:
    """The verdict over all organs, and the one organ by organ; none where nothing was compared."""
    over_all = [finding for finding in found if finding.organ is None]
    by_organ = [finding for finding in found if finding.organ is not None]
    named = (("verdict", "over all organs", over_all), ("verdict-organs", "organ by organ", by_organ))
    return [_sheet(name, how, rows, settings) for name, how, rows in named if rows]


def _sheet(name: str, how: str, found: Sequence[Finding], settings: VerdictSettings) -> Sheet:
    share = f"{100 * (1 - settings.alpha):g} %"
    return Sheet(
        name=name,
        caption=f"Is it worth it, {how}: what the original labels gain over each label version.",
        columns=("where", "label version", *([] if name == "verdict" else ["organ"]), "labels (Dice points)",
                 f"network (Dice points, {share} interval)", "cases × seeds", "equivalent", "verdict",  # noqa: RUF001
                 "hours a point"),
        rows=tuple(_row(finding, settings, with_organ=name != "verdict") for finding in found),
        notes=_notes(found, settings),
        tidy=pl.DataFrame(
            [{**asdict(f), "within_noise": f.within_noise, "hours_per_point": f.hours_per_point} for f in found],
            infer_schema_length=None,
        ).with_columns(pl.col("organ").fill_null(ALL_ORGANS), pl.col("target").cast(pl.String).fill_null("in-domain")),
    )  # fmt: skip


def _row(finding: Finding, settings: VerdictSettings, *, with_organ: bool) -> tuple[str, ...]:
    gain = format_gain(finding.gain, finding.low, finding.high)
    noise = " (within the noise of seeds)" if finding.within_noise else ""
    equivalent = finding.p_equivalent is not None and finding.p_equivalent <= settings.alpha
    return (
        describe_scope(finding), finding.version, *([finding.organ or ""] if with_organ else []),
        format_points(finding.label_gain), f"{gain}{noise}",
        f"{finding.cases} × {finding.seeds}" if finding.cases else NO_NUMBER,  # noqa: RUF001
        "yes" if equivalent else "not shown", describe_outcome(finding),
        NO_NUMBER if finding.hours_per_point is None else format_hours(finding.hours_per_point),
    )  # fmt: skip


def _notes(found: Sequence[Finding], settings: VerdictSettings) -> tuple[str, ...]:
    margin, share = f"{100 * settings.margin:g}", f"{100 * (1 - settings.alpha):g} %"
    one_seed = any(finding.seeds == 1 for finding in found)
    return (
        f"{WORTH}: the network's gain is above 0, at least {margin} Dice points, and more than seeds alone make. "
        f"{NOT_WORTH}: the gain is less than {margin} points. {OPEN}: neither is shown; the number of held-out cases "
        "is that with which four of five such studies would show a gain as large as this one, or as the margin.",
        f"Equivalent: within ± {margin} points (two one-sided tests). All tests at {100 * settings.alpha:g} % for all "
        f"rows of one place together (Holm); intervals are of {share} each, cases resampled"
        + ("; with one seed they are of these very networks, and another seed may shift them."
           if one_seed else ", seeds as a second level."),
        f"Hours: {settings.minutes_per_mask:g} minutes for each mask of the training cases.",
    )  # fmt: skip
