"""Dose and response: how much better labels must be before the network is better.

The levels of quality are label versions that were made worse on purpose, and the reference labels. From a level to the
reference labels, the finding of the verdict is repeated; from a level to a better one, a step of the test plan is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from coordinator.results.run import Run, RunDataset
from coordinator.results.summaries import Results
from coordinator.statistics.comparison import compare
from coordinator.statistics.gains import Cube, make_cube
from coordinator.statistics.intervals import FEWEST_TESTED
from coordinator.study.marks import DEGRADED
from coordinator.study.steps import BASE
from coordinator.verdict.sentences import format_points
from coordinator.verdict.testplan import TestPlan, make_test_plan


@dataclass(frozen=True, slots=True)
class Improvement:
    """From worse labels to better ones; Dice in [0, 1].

    Attributes:
        worse: label version.
        better: label version.
        label_gain: difference in Dice of the labels.
        gain: difference in Dice of the networks.
        low: lower end of its interval; None where there is none.
        high: upper end of its interval.
        seeds_known: whether the interval counts the noise of seeds; without it, nothing is shown in general.
        cases: held-out cases that both networks have.
    """

    worse: str
    better: str
    label_gain: float
    gain: float
    low: float | None
    high: float | None
    seeds_known: bool
    cases: int

    @property
    def is_shown(self) -> bool:
        """Whether networks on the better labels are shown to be better."""
        return self.seeds_known and self.cases >= FEWEST_TESTED and self.low is not None and self.low > 0


def find_improvements(run: Run, results: Results, dataset: RunDataset) -> list[Improvement]:
    """Compare all pairs of levels, smallest gain in labels first; none where fewer than two levels have scores."""
    levels = _quality_levels(run, results, dataset)
    if len(levels) < 2:
        return []
    scores = run.model_scores.filter(pl.col("dataset") == dataset.name)
    cube = make_cube(scores, run.score.empty, dataset.common, groups=dataset.groups)
    plan, names = make_test_plan(run), list(levels)
    pairs = [(worse, better) for i, worse in enumerate(names) for better in names[i + 1 :]]
    improvements = [found for pair in pairs if (found := _improve(run, plan, cube, levels, pair))]
    return sorted(improvements, key=lambda i: (i.label_gain, i.worse, i.better))


def next_improvements(improvements: Sequence[Improvement]) -> list[Improvement]:
    """Select the improvement from each level to the next better one.

    Args:
        improvements: of `find_improvements`, smallest gain in labels first.
    """
    smallest: dict[str, Improvement] = {}
    for improvement in improvements:
        smallest.setdefault(improvement.worse, improvement)
    return list(smallest.values())


def describe_smallest_gain(improvements: Sequence[Improvement]) -> str:
    """Name the smallest gain in labels with which networks are shown to be better, in a sentence."""
    if not any(improvement.seeds_known for improvement in improvements):
        return "Can't tell which gain in labels improves a network: with one seed, another may change it by as much."
    smallest = next((improvement for improvement in improvements if improvement.is_shown), None)
    if smallest is None:
        return "No gain between these levels is shown to improve the network; that does not show that none does."
    return (
        f"The smallest gain in labels that is shown to improve the network is {format_points(smallest.label_gain)} "
        f"points, from {smallest.worse} to {smallest.better}; with it, the network's Dice is "
        f"{format_points(smallest.gain)} points higher. Smaller ones are not excluded."
    )


def describe_errors(run: Run, dataset: RunDataset) -> str:
    """Say what the levels' errors mean for the curve: those drawn anew for each case largely cancel out in training."""
    records = [t.record for t in run.tools if t.dataset == dataset.name and t.record.get("tool") == DEGRADED]
    kinds = {bool(record.get("options", {}).get("consistent")) for record in records}
    if kinds == {True}:
        return "The errors of these levels are the same in every case, as of a labelling protocol."
    drawn_anew = (
        "errors that are drawn anew for each case. Such errors largely cancel out over cases, so labels of the same "
        "Dice may cost a network more if their errors are the same in every case"
    )
    if kinds == {False}:
        return f"These levels have {drawn_anew}."
    return f"Some of these levels have {drawn_anew}; the others have such errors, so the two don't make one curve."


def _quality_levels(run: Run, results: Results, dataset: RunDataset) -> dict[str, float]:
    """Degraded label versions and the reference labels, worst first -> Dice of their labels.

    Empty where the reference is a label set: the dataset's own labels are what was made worse.
    """
    if run.reference != BASE:
        return {}
    degraded = {t.version for t in run.tools if t.dataset == dataset.name and t.record.get("tool") == DEGRADED}
    quality = {
        version: score.dice
        for version in (*dataset.versions, BASE)
        if version in degraded | {BASE} and (score := results.labels(dataset.name, version))
    }
    tested = {version for version in quality if results.model(dataset.name, version)}
    return {v: quality[v] for v in sorted(tested, key=lambda v: (quality[v], v))}


def _improve(
    run: Run, plan: TestPlan, cube: Cube, levels: dict[str, float], pair: tuple[str, str]
) -> Improvement | None:
    worse, better = pair
    comparison = compare(cube, better, worse, run.verdict.seed_std)
    if comparison is None:
        return None
    names = list(levels)
    better_levels = sum(name != BASE for name in names[names.index(worse) + 1 :])
    confidence = plan.confidence if better == BASE else plan.inner_confidence(better_levels)
    ends = comparison.interval(confidence)
    return Improvement(
        worse, better, levels[better] - levels[worse], comparison.gain.mean,
        low=ends.low if ends else None, high=ends.high if ends else None, seeds_known=comparison.seeds is not None,
        cases=len(comparison.gain.cases),
    )  # fmt: skip
