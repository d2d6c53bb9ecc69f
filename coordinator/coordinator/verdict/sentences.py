"""The verdict in words: is it worth improving these labels?"""

from collections.abc import Iterator, Sequence

from coordinator.study.file import VerdictSettings
from coordinator.verdict.decide import OPEN, Finding

NO_NUMBER = "–"  # noqa: RUF001 - a dash, as in the paper


def sentences(found: Sequence[Finding], settings: VerdictSettings) -> Iterator[str]:
    """A sentence a label version and scope, over all organs."""
    for finding in (f for f in found if f.organ is None):
        about = f"{describe_scope(finding)}, {finding.version}"
        yield f"{about}: {describe_outcome(finding)}. {_because(finding, settings)}"


def describe_scope(finding: Finding) -> str:
    """Where a finding holds, such as "word, in-domain"."""
    return f"{finding.dataset}, {'in-domain' if finding.target is None else f'pre-training for {finding.target}'}"


def describe_outcome(finding: Finding) -> str:
    """The outcome in words."""
    if finding.outcome != OPEN:
        return finding.outcome
    needs = f"needs about {finding.needed} cases" if finding.needed else finding.reason
    both = f"{finding.reason}; {needs}" if finding.needed and finding.reason else needs
    return f"can't tell with this study ({both})"


def _because(finding: Finding, settings: VerdictSettings) -> str:
    if finding.gain is None:
        return "There is nothing to compare."
    labels = "The original labels" if finding.label_gain is None else (
        f"Labels better by {100 * finding.label_gain:.1f} Dice points"
    )  # fmt: skip
    change = f"{labels} changed the network's Dice by {format_points(finding.gain)} points"
    share = f"{100 * (1 - settings.alpha):g} % interval"
    between = (
        f" ({share} {format_points(finding.low)} to {format_points(finding.high)})" if finding.low is not None else ""
    )
    cost = "" if finding.hours_per_point is None else (
        f"; drawing them took {finding.hours:,.0f} hours ({finding.masks:,} masks), "
        f"{format_hours(finding.hours_per_point)} hours a point"
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


def format_hours(hours: float) -> str:
    """Hours; with a decimal below ten."""
    return f"{hours:,.1f}" if hours < 10 else f"{hours:,.0f}"
