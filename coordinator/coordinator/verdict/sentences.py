"""The verdict in words: is it worth improving these labels? And how the report writes numbers and lists."""

from collections.abc import Iterator, Sequence

from coordinator.study.file import VerdictSettings
from coordinator.verdict.decide import CANNOT_TELL, Finding

NO_NUMBER = "–"  # noqa: RUF001 - a dash, as in the paper


def describe_findings(findings: Sequence[Finding], settings: VerdictSettings) -> Iterator[str]:
    """Describe the outcome of each label version and scope, over all organs, in sentences."""
    for finding in (f for f in findings if f.organ is None):
        subject = f"{describe_scope(finding)}, {finding.version}"
        yield f"{subject}: {describe_outcome(finding)}. {_describe_gain(finding, settings)}"


def describe_scope(finding: Finding) -> str:
    """Where a finding holds, such as "word, in-domain"."""
    return f"{finding.dataset}, {'in-domain' if finding.target is None else f'pre-training for {finding.target}'}"


def describe_outcome(finding: Finding) -> str:
    """The outcome, with the reason where it is "can't tell"."""
    if finding.outcome != CANNOT_TELL:
        return finding.outcome
    needs = f"needs about {finding.needed} held-out cases" if finding.needed else ""
    return f"can't tell with this study ({'; '.join(part for part in (finding.reason, needs) if part)})"


def _describe_gain(finding: Finding, settings: VerdictSettings) -> str:
    if finding.gain is None:
        return "There is nothing to compare."
    labels = "The reference labels" if finding.label_gain is None else (
        f"Labels better by {100 * finding.label_gain:.1f} Dice points"
    )  # fmt: skip
    change = f"{labels} changed the network's Dice by {format_points(finding.gain)} points"
    share = f"{100 * (1 - settings.alpha):g} % interval"
    between = (
        f" ({share} {format_points(finding.low)} to {format_points(finding.high)})" if finding.low is not None else ""
    )
    cost = "" if finding.hours_per_point is None else (
        f"; drawing their {finding.masks:,} masks takes {format_hours(finding.hours or 0)} hours, "
        f"{format_hours(finding.hours_per_point)} for each point"
    )  # fmt: skip
    return f"{change}{between}{cost}."


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
    """Hours; with a decimal below ten."""
    return f"{hours:,.1f}" if hours < 10 else f"{hours:,.0f}"


def join_names(names: Sequence[str]) -> str:
    """Names as a list in a sentence, such as "a, b and c"; "none" for no names."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "none"


def count_noun(count: int, noun: str, plural: str = "") -> str:
    """A count with its noun, such as "1 case" or "3 cases"."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"
