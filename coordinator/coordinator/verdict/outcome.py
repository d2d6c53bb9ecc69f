"""From intervals to an outcome, which says what the intervals show and nothing beyond that.

    worth it              an interval lies at or above its margin
    a gain, size open     an interval lies above 0, but reaches below the margin
    not worth it          all intervals lie below their margins, and enough cases were seen to have met a rare failure
    can't tell            everything else

There is one interval for each metric, so labels are not worth improving only where they improve none of them. With a
price (`max_hours_per_point`), a gain must also be cheap enough, over the whole interval of hours for each Dice point.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from coordinator.statistics.failures import cases_to_exclude, highest_rate
from coordinator.statistics.intervals import FEWEST_TESTED, Interval
from coordinator.study.file import VerdictSettings

WORTH_IT, GAIN, NOT_WORTH_IT, CANNOT_TELL = "worth it", "a gain, size open", "not worth it", "can't tell"
ONE_SEED = "one seed: another seed may change the difference by as much"
METRIC_NAMES = {"dice": "Dice", "surface_dice": "Surface Dice"}

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
    """

    intervals: Mapping[str, Interval]
    cases: int
    seeds: str
    hours: float | None


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
    margins = {"dice": settings.margin, "surface_dice": settings.surface_margin}
    large = [metric for metric, ends in evidence.intervals.items() if ends.low >= margins[metric]]
    small = all(ends.high < margins[metric] for metric, ends in evidence.intervals.items())
    above_zero = [metric for metric, ends in evidence.intervals.items() if ends.low > 0]
    price = price_per_point(evidence.hours, evidence.intervals.get("dice"))
    most = settings.max_hours_per_point
    too_dear = most is not None and price is not None and price.low > most
    if large and not too_dear:
        return _check_price(Outcome(WORTH_IT, f"by {_name(large)}"), price, settings)
    if small or too_dear:
        return _check_failures(evidence, settings, above_zero, "" if small else "the price is too high")
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


def _check_price(outcome: Outcome, price: Interval | None, settings: VerdictSettings) -> Outcome:
    """Withhold "worth it" where the price may be above the highest that the study file allows."""
    if settings.max_hours_per_point is None:
        return outcome
    if price is None or price.high > settings.max_hours_per_point:
        return Outcome(GAIN, f"{outcome.reason}; it may take more than {settings.max_hours_per_point:g} hours a point")
    return outcome


def _check_failures(evidence: Evidence, settings: VerdictSettings, above_zero: list[str], reason: str) -> Outcome:
    """Withhold "not worth it" where too few cases were seen to have met a rare failure of a network."""
    fewest = cases_to_exclude(settings.failure_rate, settings.alpha)
    if evidence.cases >= fewest:
        rate = 100 * highest_rate(evidence.cases, settings.alpha)
        missed = f"failures in up to {rate:.1f} % of cases can't be excluded"
        return Outcome(NOT_WORTH_IT, f"{reason}; {missed}" if reason else missed)
    withheld = (
        f"below the margin in these cases, but {evidence.cases} can't exclude failures in "
        f"{100 * settings.failure_rate:g} % of cases; {fewest} could"
    )
    return Outcome(GAIN if above_zero else CANNOT_TELL, withheld)


def _name(metrics: list[str]) -> str:
    return " and ".join(METRIC_NAMES[metric] for metric in metrics)
