"""From intervals to an outcome, which says what the intervals show and nothing beyond that.

    worth it              an interval lies at or above its margin
    a gain, size open     an interval lies above 0, but reaches below the margin
    not worth it          both intervals lie below their margins, and enough cases were seen to have met a rare failure
    can't tell            everything else

There is one interval for each metric, so labels are not worth improving only where they improve none of them. With a
price (`max_hours_per_point`), a gain must also be cheap enough, over the whole interval of hours for each Dice point.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from coordinator.results.summaries import METRICS
from coordinator.statistics.failures import cases_to_exclude, highest_rate
from coordinator.statistics.intervals import FEWEST_TESTED, Interval
from coordinator.study.settings import VerdictSettings

WORTH_IT, GAIN, NOT_WORTH_IT, CANNOT_TELL = "worth it", "a gain, size open", "not worth it", "can't tell"
ONE_SEED = "one seed: another seed may change the difference by as much"

ASSUMPTIONS = {
    "measured": "",
    "measured on others": "if another seed changes each of these networks as much as those of which there are several",
    "given": "if the study file's noise of seeds holds here",
}
"""What an outcome takes for granted about seeds, by the source of their noise."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an outcome rests on.

    Attributes:
        intervals: metric -> interval of its gain; metrics without scores are not in it.
        cases: held-out cases that both networks have.
        seeds: source of the noise of seeds in the intervals, as in `SeedError.source`; empty where it is unknown.
        hours: of annotation that the gain takes; None where improving labels has no such price.
        tail: chance that may be spent on having missed a rare failure: that of one side of the intervals.
    """

    intervals: Mapping[str, Interval]
    cases: int
    seeds: str
    hours: float | None
    tail: float = 0.025


@dataclass(frozen=True, slots=True)
class Outcome:
    """An outcome and why; the reason is empty where the outcome says all."""

    outcome: str
    reason: str = ""


def decide(evidence: Evidence, settings: VerdictSettings) -> Outcome:
    """Decide whether the reference labels are worth it, beside one label version."""
    if evidence.cases < FEWEST_TESTED:
        return Outcome(CANNOT_TELL, f"{evidence.cases} held-out case{'s' * (evidence.cases != 1)}")
    if not evidence.intervals:
        return Outcome(CANNOT_TELL, "there is nothing to compare")
    if not evidence.seeds:
        return Outcome(CANNOT_TELL, ONE_SEED)
    outcome = _read_intervals(evidence, settings)
    if outcome.outcome == CANNOT_TELL or not (assumption := ASSUMPTIONS[evidence.seeds]):
        return outcome
    return Outcome(outcome.outcome, f"{outcome.reason}; {assumption}")


def _read_intervals(evidence: Evidence, settings: VerdictSettings) -> Outcome:
    intervals, margins, most = evidence.intervals, settings.margins, settings.max_hours_per_point
    large = [metric for metric, ends in intervals.items() if ends.low >= margins[metric]]
    above_zero = [metric for metric, ends in intervals.items() if ends.low > 0]
    price = price_per_point(evidence.hours, intervals.get("dice"))
    if all(metric in intervals and intervals[metric].high < margins[metric] for metric in margins):
        return _check_failures(evidence, settings, above_zero, "below the margins")
    if most is not None and price is not None and price.low > most and "surface_dice" not in above_zero:
        return _check_failures(evidence, settings, above_zero, f"more than {most:g} hours for each Dice point")
    if large and most is not None and evidence.hours is not None and (price is None or price.high > most):
        return Outcome(GAIN, f"by {_name(large)}; it may take more than {most:g} hours for each Dice point")
    if large:
        return Outcome(WORTH_IT, f"by {_name(large)}")
    if above_zero:
        return Outcome(GAIN, f"by {_name(above_zero)}")
    return Outcome(CANNOT_TELL)


def price_per_point(hours: float | None, dice: Interval | None) -> Interval | None:
    """Hours of annotation for each Dice point of gain; the upper end is infinite where there may be no gain.

    None where there is no price, or certainly no gain.
    """
    if hours is None or dice is None or dice.high <= 0:
        return None
    return Interval(hours / (100 * dice.high), hours / (100 * dice.low) if dice.low > 0 else float("inf"))


def _check_failures(evidence: Evidence, settings: VerdictSettings, above_zero: list[str], what: str) -> Outcome:
    """Withhold "not worth it" where too few cases were seen to have met a rare failure of a network."""
    fewest = cases_to_exclude(settings.failure_rate, evidence.tail)
    if evidence.cases >= fewest:
        rate = 100 * highest_rate(evidence.cases, evidence.tail)
        return Outcome(NOT_WORTH_IT, f"{what}; failures in up to {rate:.1f} % of cases can't be excluded")
    withheld = (
        f"{what} in these cases, but {evidence.cases} can't exclude failures in {100 * settings.failure_rate:g} % of "
        f"cases; {fewest} could"
    )
    return Outcome(GAIN if above_zero else CANNOT_TELL, withheld)


def _name(metrics: list[str]) -> str:
    return " and ".join(METRICS[metric] for metric in metrics)
