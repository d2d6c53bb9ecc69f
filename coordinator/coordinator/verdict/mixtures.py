"""How many cases are worth correcting, and which first? The networks on mixtures of worse and better labels.

    gain         of a mixture's networks over those on the worse labels alone
    shortfall    of a mixture's networks behind those on the better labels alone
    enough       the smallest share whose networks fall short by less than the margins, and so do those of all larger
                 shares; these are tested from the largest down, so that one chance of an error serves them all
    against      the mean over all shares of the networks of one rule, compared with those of random

Each rule has the share of a comparison in the test plan: half of it for what is enough, a quarter for the intervals of
its gains, divided by their number, a quarter for the comparison with random. A share is not called enough where more of
its networks failed than of those on the better labels, nor one of random with fewer than two draws: without these, the
noise of drawing is unknown.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from coordinator.results.failednetworks import count_failed
from coordinator.results.run import Mix, Run, RunDataset
from coordinator.results.summaries import METRICS
from coordinator.statistics.comparison import Comparison, compare
from coordinator.statistics.failures import highest_rate
from coordinator.statistics.gains import Cube, make_cube
from coordinator.statistics.intervals import FEWEST_TESTED
from coordinator.study.mixtures import RANDOM
from coordinator.verdict.decide import annotation_hours, count_masks
from coordinator.verdict.outcome import ASSUMPTIONS
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
FEWEST_DRAWS = 2
"""Networks on draws of one share; with one, the noise of drawing is unknown."""


@dataclass(frozen=True, slots=True)
class MixPoint:
    """The networks of one share; scores in [0, 1].

    Attributes:
        share: of the training cases that have the better labels; 1 for the better labels alone.
        cases: how many these are, on average over draws and folds.
        hours: it takes to draw their masks; None where people did not draw the better labels, or need none.
        gain: in Dice, of its networks over those on the worse labels; None where one of the two has no scores.
        low: lower end of its interval.
        high: upper end of its interval.
        shortfall: in Dice, of its networks behind those on the better labels; None likewise, and for these themselves.
        most: metric -> the largest shortfall that the study leaves open, at the confidence of the test.
        is_within: whether the shortfall is shown to be less than the margins, of Dice and Surface Dice.
        assumption: what that takes for granted about seeds; empty for nothing.
        tested: held-out cases that the networks have.
        failed: how many of its networks failed.
    """

    share: float
    cases: float
    hours: float | None
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    shortfall: float | None = None
    most: Mapping[str, float] = field(default_factory=dict)
    is_within: bool = False
    assumption: str = ""
    tested: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class MixCurve:
    """The mixtures of one rule on one dataset.

    Attributes:
        dataset: its name.
        rule: by which cases are chosen.
        points: by share, smallest first; the better labels alone come last.
        why_open: why nothing can be shown at all; empty where something may be.
        advantage: mean over shares of Dice, beyond that of random; None for random, and where one of the two has none.
        low: lower end of its interval; None where that is not known, or where networks failed.
        high: upper end of its interval.
        tail: chance that "enough" errs.
    """

    dataset: str
    rule: str
    points: tuple[MixPoint, ...]
    why_open: str
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


@dataclass(frozen=True, slots=True, eq=False)
class _Scope:
    """The networks of one dataset, and how much each claim may err.

    Attributes:
        run: the run.
        mix: its mixtures.
        dataset: whose networks.
        cubes: metric -> scores of all networks.
        part: of one rule in the test plan.
        failed: label version or mixture -> how many of its networks failed.
    """

    run: Run
    mix: Mix
    dataset: RunDataset
    cubes: Mapping[str, Cube]
    part: float
    failed: Mapping[str, int]

    def count_seeds(self, name: str) -> int:
        """Networks of a label version or mixture that have scores."""
        cube = self.cubes["dice"]
        return cube.networks(name).shape[1] if name in cube.versions else 0


def find_curves(run: Run) -> list[MixCurve]:
    """The curves of all datasets and rules; none where a study has no mixtures."""
    if run.mix is None:
        return []
    mix, part, curves = run.mix, make_test_plan(run).share, []
    for dataset in (dataset for dataset in run.datasets if dataset.splits):
        cubes = {metric: _make_cube(run, mix, dataset, metric) for metric in METRICS}
        counts = count_failed(run.all_failed_networks)
        failed = {version: count for (name, version), count in counts.items() if name == dataset.name}
        scope = _Scope(run, mix, dataset, cubes, part, failed)
        curves += [_find_curve(scope, rule) for rule in mix.curves]
    return curves


def describe_curve(run: Run, mix: Mix, curve: MixCurve) -> Iterator[str]:
    """What a curve shows, in sentences."""
    if curve.why_open:
        yield f"{curve.rule}: can't tell; {curve.why_open}."
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
        f"{join_names([f'{rule} ({how[rule]})' for rule in mix.curves])}."
    )


def describe_margins(run: Run) -> str:
    """Both margins in words."""
    return f"{format_margin(run.verdict.margin)} and {100 * run.verdict.surface_margin:g} of Surface Dice"


def _describe_enough(run: Run, mix: Mix, curve: MixCurve) -> str:
    failed = [
        f"{count_noun(point.failed, 'network')} with {_name_share(point.share)} of them failed"
        for point in curve.points[:-1] if point.failed
    ]  # fmt: skip
    but = f"; {join_names(failed)}" if failed else ""
    point = curve.enough
    if point is None:
        largest = curve.points[-2]
        open_by = [f"{format_points(largest.most[m]).lstrip('+')} points of {METRICS[m]}" for m in METRICS
                   if m in largest.most]  # fmt: skip
        at_most = f"; with {_name_share(largest.share)} of them, it may be {join_names(open_by)}" if open_by else ""
        return (
            f"can't tell whether fewer than all cases are enough: no share is shown to fall short of {mix.better} by "
            f"less than {describe_margins(run)}{at_most}{but}."
        )
    hours = "" if point.hours is None else f", {format_hours(point.hours)} hours"
    rate = 100 * highest_rate(point.tested, curve.tail)
    assumed = f", {point.assumption}" if point.assumption else ""
    return (
        f"{_name_share(point.share)} of the training cases ({point.cases:.3g}{hours}) is the smallest share shown to "
        f"fall short of {mix.better} by less than {describe_margins(run)}{assumed}; failures in up to {rate:.0f} % of "
        f"cases can't be excluded{but}."
    )


def _name_rule(rule: str) -> str:
    return {"worst": "the worst labels first", "worklist": "those first on which label versions disagree"}[rule]


def _name_share(share: float) -> str:
    return f"{100 * share:g} %"


def _find_curve(scope: _Scope, rule: str) -> MixCurve:
    mix = scope.mix
    names = {share: mix.curves[rule][share] for share in sorted(mix.curves[rule])} | {WHOLE: mix.better}
    points = tuple(_find_point(scope, rule, share, name, len(names)) for share, name in names.items())
    mixed = list(names.values())[:-1]
    against = None if rule == RANDOM or RANDOM not in mix.curves else _compare_rules(mix, scope.cubes["dice"], rule)
    drawn = list(mix.curves.get(RANDOM, {}).values())
    is_known = against and against.seeds and _has_enough(against) and min(map(scope.count_seeds, drawn)) >= FEWEST_DRAWS
    is_whole = not any(scope.failed.get(name) for name in (*mixed, *drawn))
    ends = against.interval(1 - scope.part / 4) if against and is_known and is_whole else None
    return MixCurve(
        scope.dataset.name, rule, points, _explain_open(scope, rule, mixed),
        advantage=against.gain.mean if against else None,
        low=ends.low if ends else None, high=ends.high if ends else None, tail=scope.part / 2,
    )  # fmt: skip


def _explain_open(scope: _Scope, rule: str, mixed: Sequence[str]) -> str:
    """Why a rule's networks can show nothing at all; empty where they may show something."""
    if not scope.count_seeds(scope.mix.better):
        return f"no network on {scope.mix.better} has scores"
    if not any(map(scope.count_seeds, mixed)):
        return "no network on these mixtures has scores"
    if rule == RANDOM and max(map(scope.count_seeds, mixed)) < FEWEST_DRAWS:
        return "with one draw, another may change the network by as much"
    behind = [found for name in mixed if (found := _compare(scope, "dice", scope.mix.better, name))]
    if not any(found.seeds for found in behind):
        return "with one seed, another may change the network by as much"
    return ""


def _find_point(scope: _Scope, rule: str, share: float, name: str, count: int) -> MixPoint:
    """The gain and shortfall of one share.

    Args:
        scope: whose networks.
        rule: by which its cases were chosen.
        share: of the training cases.
        name: of its networks.
        count: of all shares of the rule, the better labels alone among them.
    """
    cases, hours = _count_work(scope, name)
    point = MixPoint(share, cases, hours, failed=scope.failed.get(name, 0))
    is_drawn = rule == RANDOM and share != WHOLE and scope.count_seeds(name) < FEWEST_DRAWS
    if gain := _compare(scope, "dice", name, scope.mix.worse):
        ends = None if is_drawn or not gain.seeds else gain.interval(1 - scope.part / 4 / count)
        point = replace(
            point, gain=gain.gain.mean, low=ends.low if ends else None, high=ends.high if ends else None,
            tested=len(gain.gain.cases),
        )  # fmt: skip
    behind = {m: found for m in METRICS if share != WHOLE and (found := _compare(scope, m, scope.mix.better, name))}
    if "dice" not in behind:
        return point
    most = {
        metric: ends.high
        for metric, found in behind.items()
        if not is_drawn and found.seeds and _has_enough(found) and (ends := found.interval(1 - scope.part))
    }
    margins = scope.run.verdict.margins
    source = behind["dice"].seeds.source if behind["dice"].seeds else ""
    return replace(
        point, shortfall=behind["dice"].gain.mean, most=most, tested=len(behind["dice"].gain.cases),
        assumption=ASSUMPTIONS.get(source, ""),
        is_within=all(metric in most and most[metric] < margin for metric, margin in margins.items())
        and point.failed <= scope.failed.get(scope.mix.better, 0),
    )  # fmt: skip


def _compare(scope: _Scope, metric: str, better: str, worse: str) -> Comparison | None:
    return compare(scope.cubes[metric], better, worse, scope.run.verdict.seed_std if metric == "dice" else None)


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


def _count_work(scope: _Scope, name: str) -> tuple[float, float | None]:
    """Cases that have the better labels and hours of drawing these, on average over draws and folds."""
    run, mix, dataset = scope.run, scope.mix, scope.dataset
    if name == mix.better:
        drawn: Sequence[Sequence[str]] = [split.train for split in dataset.splits]
    else:
        chosen = mix.cases.filter((pl.col("dataset") == dataset.name) & (pl.col("version") == name))
        drawn = [part["case"].to_list() for part in chosen.partition_by("seed", "fold")] if chosen.height else [[]]
    cases = sum(len(each) for each in drawn) / len(drawn)
    masks = [count_masks(run, dataset.name, None, each) for each in drawn]
    if not mix.drawn or None in masks or run.made_from_reference(mix.worse):
        return cases, None
    hours = [annotation_hours(count or 0, run.verdict.minutes_per_mask) for count in masks]
    return cases, sum(hours) / len(hours)
