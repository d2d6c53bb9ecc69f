"""How many cases are worth correcting, and which first? The networks on mixtures of worse and better labels.

    gain         of a mixture's networks over those on the worse labels alone
    shortfall    of a mixture's networks behind those on the better labels alone
    enough       the smallest share whose networks fall short by less than the margins, and so do those of all larger
                 shares; these are tested from the largest down, so that one chance of an error serves them all
    against      the mean over all shares of the networks of one rule, compared with those of random

Each rule has the share of a comparison in the test plan: half of it for what is enough, a quarter for the intervals of
its gains, divided by their number, a quarter for the comparison with random.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from coordinator.results.run import Mix, Run, RunDataset
from coordinator.results.summaries import METRICS
from coordinator.statistics.comparison import Comparison, compare
from coordinator.statistics.failures import highest_rate
from coordinator.statistics.gains import Cube, make_cube
from coordinator.statistics.intervals import FEWEST_TESTED
from coordinator.study.mixtures import RANDOM
from coordinator.verdict.decide import annotation_hours, count_masks
from coordinator.verdict.sentences import (
    count_noun,
    format_gain,
    format_hours,
    format_margin,
    format_points,
    join_names,
)
from coordinator.verdict.testplan import make_test_plan

WHOLE = 1.0


@dataclass(frozen=True, slots=True)
class MixPoint:
    """The networks of one share; Dice in [0, 1].

    Attributes:
        share: of the training cases that have the better labels; 1 for the better labels alone.
        cases: how many these are, on average over draws and folds.
        hours: it takes to draw their masks; None where people did not draw the better labels.
        gain: of its networks over those on the worse labels; None where one of the two has no scores.
        low: lower end of its interval.
        high: upper end of its interval.
        shortfall: of its networks behind those on the better labels; None likewise, and for these themselves.
        most: the largest shortfall that the study leaves open, at the confidence of the test.
        is_within: whether the shortfall is shown to be less than the margins, of Dice and Surface Dice.
        tested: held-out cases that the networks have.
    """

    share: float
    cases: float
    hours: float | None
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    shortfall: float | None = None
    most: float | None = None
    is_within: bool = False
    tested: int = 0


@dataclass(frozen=True, slots=True)
class MixCurve:
    """The mixtures of one rule on one dataset.

    Attributes:
        dataset: its name.
        rule: by which cases are chosen.
        points: by share, smallest first; the better labels alone come last.
        seeds_known: whether the noise of seeds is known; without it, nothing is shown in general.
        advantage: mean over shares of Dice, beyond that of random; None for random, and where one of the two has none.
        low: lower end of its interval.
        high: upper end of its interval.
        tail: chance that "enough" errs.
    """

    dataset: str
    rule: str
    points: tuple[MixPoint, ...]
    seeds_known: bool
    advantage: float | None
    low: float | None
    high: float | None
    tail: float

    @property
    def enough(self) -> MixPoint | None:
        """The smallest share that is shown to be enough; None where none is."""
        found = None
        for point in reversed(self.points[:-1]):
            if not point.is_within:
                break
            found = point
        return found


def find_curves(run: Run) -> list[MixCurve]:
    """The curves of all datasets and rules; none where a study has no mixtures, or no network of theirs has scores."""
    if run.mix is None or run.mix.scores.is_empty():
        return []
    mix = run.mix
    return [_find_curve(run, mix, dataset, rule) for dataset in run.datasets if dataset.splits for rule in mix.curves]


def describe_curve(run: Run, mix: Mix, curve: MixCurve) -> Iterator[str]:
    """What a curve shows, in sentences."""
    if not curve.seeds_known:
        yield f"{curve.rule}: can't tell; with one seed, another may change a network by as much."
        return
    yield f"{curve.rule}: {_describe_enough(run, mix, curve)}"
    if curve.rule == RANDOM or curve.advantage is None:
        return
    points = f"{format_gain(curve.advantage, curve.low, curve.high)} points of Dice on average over the shares"
    if curve.low is not None and curve.low > 0:
        yield f"Correcting {_name_rule(curve.rule)} is shown to be better than at random, by {points}."
    elif curve.high is not None and curve.high < 0:
        yield f"Correcting {_name_rule(curve.rule)} is shown to be worse than at random, by {points}."
    else:
        yield f"Can't tell whether correcting {_name_rule(curve.rule)} is better than at random: {points}."


def _describe_enough(run: Run, mix: Mix, curve: MixCurve) -> str:
    margin = format_margin(run.verdict.margin)
    point = curve.enough
    if point is None:
        largest = curve.points[-2] if len(curve.points) > 1 else None
        open_by = "" if largest is None or largest.most is None else (
            f"; with {_name_share(largest.share)} of them, the network may fall short by up to "
            f"{format_points(largest.most).lstrip('+')} points"
        )  # fmt: skip
        return (
            f"can't tell whether fewer than all cases are enough: no share is shown to fall short of {mix.better} by "
            f"less than {margin}{open_by}."
        )
    hours = "" if point.hours is None else f", {format_hours(point.hours)} hours"
    rate = 100 * highest_rate(point.tested, curve.tail)
    return (
        f"{_name_share(point.share)} of the training cases ({point.cases:.3g}{hours}) is the smallest share shown to "
        f"fall short of {mix.better} by less than {margin}; failures in up to {rate:.0f} % of cases can't be excluded."
    )


def _name_rule(rule: str) -> str:
    return {"worst": "the worst labels first", "worklist": "those first on which label versions disagree"}[rule]


def _name_share(share: float) -> str:
    return f"{100 * share:g} %"


def _find_curve(run: Run, mix: Mix, dataset: RunDataset, rule: str) -> MixCurve:
    part = make_test_plan(run).share
    shares = sorted(mix.curves[rule])
    cubes = {metric: _make_cube(run, mix, dataset, metric) for metric in METRICS}
    names = {share: mix.curves[rule][share] for share in shares} | {WHOLE: mix.better}
    confidence = 1 - part / 4 / len(names)
    points = tuple(_find_point(run, mix, dataset, cubes, (share, name), (confidence, part / 2))
                   for share, name in names.items())  # fmt: skip
    whole = compare(cubes["dice"], mix.better, mix.worse, run.verdict.seed_std)
    against = None if rule == RANDOM or RANDOM not in mix.curves else _compare_rules(mix, cubes["dice"], rule)
    ends = against.interval(1 - part / 4) if against and against.seeds and _has_enough(against) else None
    return MixCurve(
        dataset.name, rule, points, seeds_known=bool(whole and whole.seeds),
        advantage=against.gain.mean if against else None,
        low=ends.low if ends else None, high=ends.high if ends else None, tail=part / 2,
    )  # fmt: skip


def _find_point(
    run: Run,
    mix: Mix,
    dataset: RunDataset,
    cubes: dict[str, Cube],
    named: tuple[float, str],
    levels: tuple[float, float],
) -> MixPoint:
    """The gain and shortfall of one share.

    Args:
        run: the run.
        mix: its mixtures.
        dataset: whose networks.
        cubes: metric -> scores of all networks.
        named: the share, and the name of its networks.
        levels: confidence of the gain's interval, and chance of an error of "enough".
    """
    share, name = named
    cases, hours = _count_work(run, mix, dataset, name)
    point = MixPoint(share, cases, hours)
    gain = compare(cubes["dice"], name, mix.worse, run.verdict.seed_std)
    if gain is None:
        return point
    ends = gain.interval(levels[0])
    low, high = (ends.low, ends.high) if ends else (None, None)
    if share == WHOLE:
        return MixPoint(share, cases, hours, gain.gain.mean, low, high, tested=len(gain.gain.cases))
    behind = {metric: compare(cube, mix.better, name) for metric, cube in cubes.items()}
    dice = behind["dice"]
    bounds = {
        metric: ends.high
        for metric, found in behind.items()
        if found and found.seeds and _has_enough(found) and (ends := found.interval(1 - 2 * levels[1]))
    }
    within = all(metric in bounds and bounds[metric] < margin for metric, margin in run.verdict.margins.items())
    return MixPoint(
        share, cases, hours, gain.gain.mean, low, high, dice.gain.mean if dice else None, bounds.get("dice"), within,
        len(dice.gain.cases) if dice else 0,
    )  # fmt: skip


def _has_enough(comparison: Comparison) -> bool:
    return len(comparison.gain.by_case) >= FEWEST_TESTED


def _make_cube(run: Run, mix: Mix, dataset: RunDataset, metric: str) -> Cube:
    """Scores of the networks on all label versions and mixtures."""
    scores = pl.concat([run.model_scores, mix.scores], how="diagonal_relaxed").filter(pl.col("dataset") == dataset.name)
    return make_cube(scores, run.score.empty, dataset.common, metric, dataset.groups)


def _compare_rules(mix: Mix, cube: Cube, rule: str) -> Comparison | None:
    """The networks of a rule compared with those of random, by the mean of each seed's scores over all shares."""
    rules = {one: list(mix.curves[one].values()) for one in (rule, RANDOM)}
    if not all(name in cube.versions for names in rules.values() for name in names):
        return None
    scores = [cube.scores[[cube.versions.index(name) for name in names]].mean(axis=0) for names in rules.values()]
    return compare(replace(cube, versions=tuple(rules), scores=np.stack(scores)), rule, RANDOM)


def _count_work(run: Run, mix: Mix, dataset: RunDataset, name: str) -> tuple[float, float | None]:
    """Cases that have the better labels and hours of drawing these, on average over draws and folds."""
    if name == mix.better:
        drawn: Sequence[Sequence[str]] = [split.train for split in dataset.splits]
    else:
        chosen = mix.cases.filter((pl.col("dataset") == dataset.name) & (pl.col("version") == name))
        drawn = [part["case"].to_list() for part in chosen.partition_by("seed", "fold")] if chosen.height else [[]]
    cases = sum(len(each) for each in drawn) / len(drawn)
    masks = [count_masks(run, dataset.name, None, each) for each in drawn]
    if not mix.drawn or None in masks:
        return cases, None
    hours = [annotation_hours(count or 0, run.verdict.minutes_per_mask) for count in masks]
    return cases, sum(hours) / len(hours)


def describe_rules(mix: Mix) -> str:
    """How the mixtures were made, in a sentence."""
    how = {
        RANDOM: "drawn anew for each seed",
        "worst": f"those first whose {mix.worse} labels agree least with {mix.better}",
        "worklist": f"those first whose {mix.worse} labels agree least with what other label versions agree on",
    }
    shares = join_names([_name_share(share) for share in sorted({s for curve in mix.curves.values() for s in curve})])
    return (
        f"Of the training cases, {shares} have the labels of {mix.better} and the others those of {mix.worse}: "
        f"{join_names([f'{rule} ({how[rule]})' for rule in mix.curves])}. "
        f"{count_noun(sum(map(len, mix.curves.values())), 'mixture')} in all."
    )
