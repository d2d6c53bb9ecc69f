"""The verdict in words: is it worth improving these labels? And how the report writes numbers and lists."""

from collections.abc import Iterator, Sequence

from coordinator.study.settings import VerdictSettings
from coordinator.study.steps import BASE
from coordinator.verdict.decide import Finding
from coordinator.verdict.testplan import TestPlan

NO_NUMBER = "–"  # noqa: RUF001 - a dash, as in the paper
TABLE_DIGITS = 3
"""Of Dice as a share of 1: tables show tenths of a percent, and label versions that are equal in these are ties."""


def describe_findings(findings: Sequence[Finding], settings: VerdictSettings, reference: str = BASE) -> Iterator[str]:
    """Describe the outcome of each label version and scope, over all organs, in sentences.

    Args:
        findings: of a run.
        settings: of its verdict.
        reference: the label version that is the truth; one that is not the dataset's own is named.
    """
    for finding in (f for f in findings if f.organ is None):
        compared = finding.version if reference == BASE else f"{reference} instead of {finding.version}"
        subject = f"{describe_scope(finding)}, {compared}"
        parts = (describe_outcome(finding), _describe_gain(finding), _describe_price(finding, settings))
        yield f"{subject}: {' '.join(f'{part}.' for part in parts if part)}"


def describe_tests(plan: TestPlan) -> str:
    """What is compared, and how sure the report must be, in two sentences without the last full stop."""
    parts = [
        count_noun(plan.verdicts, "comparison"),
        *([f"{count_noun(plan.tests, 'test')} of the paper's findings"] if plan.tests else []),
        *([count_noun(plan.curves, "curve of mixtures", "curves of mixtures")] if plan.curves else []),
    ]
    return (
        f"Planned before any result: {join_names(parts)}, with one error together of "
        f"{100 * plan.alpha:g} %, the chance of any wrong outcome in this report. So each interval of all organs is "
        f"one of {100 * plan.confidence:.2f} %"
    )


def describe_scope(finding: Finding) -> str:
    """Where a finding holds, such as "word, in-domain"."""
    return f"{finding.dataset}, {'in-domain' if finding.target is None else f'pre-training for {finding.target}'}"


def describe_outcome(finding: Finding) -> str:
    """The outcome with its reason, and how many cases would probably tell."""
    needs = f"about {finding.needed} held-out cases would probably tell" if finding.needed else ""
    reason = "; ".join(part for part in (finding.reason, needs) if part)
    return f"{finding.outcome} ({reason})" if reason else finding.outcome


def describe_networks(finding: Finding) -> str:
    """How many networks were compared, such as "3 of each"; a dash where none were."""
    if not finding.seeds or not finding.base_seeds:
        return NO_NUMBER
    if finding.seeds == finding.base_seeds:
        return f"{finding.seeds} of each" if finding.seeds > 1 else "one of each"
    return f"{finding.base_seeds} on the reference labels, {finding.seeds} on the version"


def _describe_gain(finding: Finding) -> str:
    if finding.gain is None:
        return ""
    labels = "" if finding.label_gain is None else (
        f", whose Dice with the reference labels is {100 * (1 - finding.label_gain):.1f},"
    )  # fmt: skip
    surface = "" if finding.surface_gain is None else (
        f", and in Surface Dice {format_gain(finding.surface_gain, finding.surface_low, finding.surface_high)}"
    )  # fmt: skip
    verb = "Trained" if finding.target is None else "Pre-trained"
    left_out = f"; without {join_names(finding.left_out)}, which fewer than 3 cases have" if finding.left_out else ""
    return (
        f"{verb} on the reference labels instead of these{labels} the network's Dice on the held-out cases differs by "
        f"{format_gain(finding.gain, finding.low, finding.high)} points{surface}{left_out}"
    )


def _describe_price(finding: Finding, settings: VerdictSettings) -> str:
    """What drawing the reference labels would take; only where they need not be there already."""
    if finding.hours is None or finding.masks is None:
        return ""
    total = (
        f"Drawing the {count_noun(finding.masks, 'mask')} of the training cases takes {format_hours(finding.hours)} "
        f"hours if one takes {settings.minutes_per_mask:g} minutes"
    )
    price = format_price(finding)
    return f"{total}: {price} for each Dice point" if price != NO_NUMBER else total


def format_price(finding: Finding) -> str:
    """Hours for each Dice point, as an interval; a dash where there is none."""
    if finding.hours_low is None:
        return NO_NUMBER
    if finding.hours_high is None:
        return f"at least {format_hours(finding.hours_low)} hours"
    return f"{format_hours(finding.hours_low)} to {format_hours(finding.hours_high)} hours"


def format_points(share: float | None) -> str:
    """Dice points with a sign; a dash where there is no number."""
    if share is None:
        return NO_NUMBER
    rounded = round(100 * share, 1)
    return f"{rounded:+.1f}".replace("-", "−") if rounded else "0.0"  # noqa: RUF001 - a minus sign


def format_gain(gain: float | None, low: float | None, high: float | None) -> str:
    """A gain in Dice points with its interval, such as "+1.2 [+0.3, +2.0]"."""
    return format_points(gain) + ("" if low is None else f" [{format_points(low)}, {format_points(high)}]")


def format_margin(margin: float) -> str:
    """A margin in Dice points without a sign, such as "1 Dice point" or "2.5 Dice points"."""
    points = f"{100 * margin:g}"
    return f"{points} Dice point{'s' * (points != '1')}"


def format_hours(hours: float) -> str:
    """Hours; with a decimal below ten, with two digits below a tenth."""
    if hours < 0.1:
        return f"{hours:.2g}"
    return f"{hours:,.1f}" if hours < 10 else f"{hours:,.0f}"


def join_names(names: Sequence[str]) -> str:
    """Names as a list in a sentence, such as "a, b and c"; "none" for no names."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "none"


def count_noun(count: int, noun: str, plural: str = "") -> str:
    """A count with its noun, such as "1 case" or "3 cases"."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"
