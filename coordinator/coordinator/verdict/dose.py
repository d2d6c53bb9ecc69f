"""Dose and response: how much better labels must be before the network is better.

The levels of quality are label versions that were made worse on purpose, and the reference labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from coordinator.results.run import DEGRADED, Run, RunDataset
from coordinator.results.summaries import Results
from coordinator.statistics.gains import Cube, gain, make_cube, seed_noise
from coordinator.statistics.hypotheses import holm
from coordinator.statistics.intervals import SeedNoise, interval, p_greater
from coordinator.study.steps import BASE
from coordinator.verdict.sentences import format_points


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
        p_value: of no gain or a loss; corrected for all pairs of levels (Holm).
    """

    worse: str
    better: str
    label_gain: float
    gain: float
    low: float | None
    high: float | None
    p_value: float


def find_improvements(run: Run, results: Results, dataset: RunDataset) -> list[Improvement]:
    """Compare all pairs of levels, smallest gain in labels first; none where fewer than two levels have scores."""
    levels = _quality_levels(run, results, dataset)
    return _compare_levels(run, dataset, levels) if len(levels) > 1 else []


def next_improvements(improvements: Sequence[Improvement]) -> list[Improvement]:
    """Select the improvement from each level to the next better one.

    Args:
        improvements: of `find_improvements`, smallest gain in labels first.
    """
    smallest: dict[str, Improvement] = {}
    for improvement in improvements:
        smallest.setdefault(improvement.worse, improvement)
    return list(smallest.values())


def _quality_levels(run: Run, results: Results, dataset: RunDataset) -> dict[str, float]:
    """Degraded label versions and the reference labels, worst first -> Dice of their labels."""
    degraded = {t.version for t in run.tools if t.dataset == dataset.name and t.record.get("tool") == DEGRADED}
    quality = {
        version: score.dice
        for version in (*dataset.versions, BASE)
        if version in degraded | {BASE} and (score := results.labels(dataset.name, version))
    }
    tested = {version for version in quality if results.model(dataset.name, version)}
    return {v: quality[v] for v in sorted(tested, key=lambda v: (quality[v], v))}


def _compare_levels(run: Run, dataset: RunDataset, levels: dict[str, float]) -> list[Improvement]:
    scores = run.model_scores.filter(pl.col("dataset") == dataset.name)
    cube = make_cube(scores, run.score.empty, dataset.common)
    names = list(levels)
    pairs = [(worse, better) for i, worse in enumerate(names) for better in names[i + 1 :]]
    noise, confidence = seed_noise(cube), 1 - run.verdict.alpha
    compared = [i for pair in pairs if (i := _compare((cube, noise), levels, pair, confidence))]
    corrected = holm([improvement.p_value for improvement in compared])
    improvements = [replace(i, p_value=p_value) for i, p_value in zip(compared, corrected, strict=True)]
    return sorted(improvements, key=lambda i: (i.label_gain, i.worse, i.better))


def _compare(
    scores: tuple[Cube, SeedNoise | None], levels: dict[str, float], pair: tuple[str, str], confidence: float
) -> Improvement | None:
    (cube, noise), (worse, better) = scores, pair
    network_gain = gain(cube, better, worse)
    if network_gain is None:
        return None
    low, high = interval(network_gain, noise, confidence) or (None, None)
    p_value = min(1.0, 2 * p_greater(network_gain, 0.0, noise))
    return Improvement(worse, better, levels[better] - levels[worse], network_gain.mean, low, high, p_value)


def describe_smallest_gain(improvements: Sequence[Improvement], alpha: float) -> str:
    """Name the smallest gain in labels that certainly improved the network, in a sentence."""
    smallest = next((improvement for improvement in improvements if improvement.p_value <= alpha), None)
    if smallest is None:
        return "No gain in labels certainly improved the network."
    return (
        "The smallest gain in labels that certainly improved the network is "
        f"{format_points(smallest.label_gain)} points, from {smallest.worse} to {smallest.better}; "
        f"it improved the network by {format_points(smallest.gain)} points."
    )
