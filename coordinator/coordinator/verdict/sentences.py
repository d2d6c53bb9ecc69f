"""The verdict in words, and as a table: is it worth improving these labels?"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import polars as pl

from coordinator.report.sheets import Sheet
from coordinator.report.tables import NOTHING
from coordinator.study.file import Verdict
from coordinator.verdict.findings import NOT_WORTH, OPEN, WORTH, Finding

ALL_ORGANS = "all organs"


def sentences(found: Sequence[Finding], settings: Verdict) -> Iterator[str]:
    """A sentence a label version and scope, over all organs."""
    for finding in (f for f in found if f.organ is None):
        yield f"{scope(finding)}, {finding.version}: {said(finding)}. {_because(finding, settings)}"


def scope(finding: Finding) -> str:
    """Where a finding holds, such as "word, in-domain"."""
    return f"{finding.dataset}, {'in-domain' if finding.target is None else f'pre-training for {finding.target}'}"


def said(finding: Finding) -> str:
    """The outcome in words."""
    if finding.outcome != OPEN:
        return finding.outcome
    needs = f"needs about {finding.needed} cases" if finding.needed else finding.reason
    both = f"{finding.reason}; {needs}" if finding.needed and finding.reason else needs
    return f"can't tell with this study ({both})"


def _because(finding: Finding, settings: Verdict) -> str:
    if finding.gain is None:
        return "There is nothing to compare."
    labels = "The original labels" if finding.label_gain is None else (
        f"Labels better by {100 * finding.label_gain:.1f} Dice points"
    )  # fmt: skip
    change = f"{labels} changed the network's Dice by {points(finding.gain)} points"
    share = f"{100 * (1 - settings.alpha):g} % interval"
    between = f" ({share} {points(finding.low)} to {points(finding.high)})" if finding.low is not None else ""
    cost = "" if finding.hours_per_point is None else (
        f"; drawing them took {finding.hours:,.0f} hours ({finding.masks:,} masks), {_hours(finding.hours_per_point)} "
        "hours a point"
    )  # fmt: skip
    return f"{change}{between}{cost}."


def points(share: float | None) -> str:
    """Dice points with a sign; a dash where there is no number."""
    if share is None:
        return NOTHING
    rounded = round(100 * share, 1)
    return f"{rounded:+.1f}".replace("-", "−") if rounded else "0.0"  # noqa: RUF001 - a minus sign


def _hours(hours: float) -> str:
    return f"{hours:,.1f}" if hours < 10 else f"{hours:,.0f}"


def sheets(found: Sequence[Finding], settings: Verdict) -> list[Sheet]:
    """The verdict over all organs, and the one organ by organ; none where nothing was compared."""
    over_all = [finding for finding in found if finding.organ is None]
    by_organ = [finding for finding in found if finding.organ is not None]
    named = (("verdict", "over all organs", over_all), ("verdict-organs", "organ by organ", by_organ))
    return [_sheet(name, how, rows, settings) for name, how, rows in named if rows]


def _sheet(name: str, how: str, found: Sequence[Finding], settings: Verdict) -> Sheet:
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


def _row(finding: Finding, settings: Verdict, *, with_organ: bool) -> tuple[str, ...]:
    between = "" if finding.low is None else f" [{points(finding.low)}, {points(finding.high)}]"
    noise = " (within the noise of seeds)" if finding.within_noise else ""
    equivalent = finding.p_equivalent is not None and finding.p_equivalent <= settings.alpha
    return (
        scope(finding), finding.version, *([finding.organ or ""] if with_organ else []), points(finding.label_gain),
        f"{points(finding.gain)}{between}{noise}", f"{finding.cases} × {finding.seeds}" if finding.cases else NOTHING,  # noqa: RUF001
        "yes" if equivalent else "not shown", said(finding),
        NOTHING if finding.hours_per_point is None else _hours(finding.hours_per_point),
    )  # fmt: skip


def _notes(found: Sequence[Finding], settings: Verdict) -> tuple[str, ...]:
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
