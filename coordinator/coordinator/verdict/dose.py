"""Dose and response: how much better labels must be before a network is, from versions made worse on purpose."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from coordinator.results.run import DEGRADED, Dataset, Run
from coordinator.results.summaries import Results
from coordinator.statistics.gains import Cube, gain, make_cube, seed_noise
from coordinator.statistics.hypotheses import holm
from coordinator.statistics.intervals import SeedNoise, interval, p_greater
from coordinator.study.steps import BASE
from coordinator.verdict.sentences import format_points


@dataclass(frozen=True, slots=True)
class Step:
    """From worse labels to better ones; in [0, 1].

    Attributes:
        worse: label version.
        better: label version.
        label_gain: in Dice of the labels.
        gain: of the network.
        low: lower end of its interval; None where there is none.
        high: upper end.
        p_value: of no gain or a loss; Holm, over all pairs of levels.
    """

    worse: str
    better: str
    label_gain: float
    gain: float
    low: float | None
    high: float | None
    p_value: float


def dose_steps(run: Run, results: Results, dataset: Dataset) -> list[Step]:
    """All pairs of levels, smallest gain in labels first; none where fewer than two levels have scores."""
    levels = _levels(run, results, dataset)
    return _steps(run, dataset, levels) if len(levels) > 1 else []


def _levels(run: Run, results: Results, dataset: Dataset) -> dict[str, float]:
    """Label versions with known errors and the original, worst first, with the Dice of their labels."""
    degraded = {t.version for t in run.tools if t.dataset == dataset.name and t.record.get("tool") == DEGRADED}
    quality = {
        version: score.dice
        for version in (*dataset.versions, BASE)
        if version in degraded | {BASE} and (score := results.labels(dataset.name, version))
    }
    tested = {version for version in quality if results.model(dataset.name, version)}
    return {v: quality[v] for v in sorted(tested, key=lambda v: (quality[v], v))}


def _steps(run: Run, dataset: Dataset, levels: dict[str, float]) -> list[Step]:
    """All pairs of levels, smallest gain in labels first."""
    mine = run.model_scores.filter(pl.col("dataset") == dataset.name)
    cube = make_cube(mine, run.score.empty, dataset.common)
    names = list(levels)
    pairs = [(worse, better) for i, worse in enumerate(names) for better in names[i + 1 :]]
    noise, confidence = seed_noise(cube), 1 - run.verdict.alpha
    found = [step for pair in pairs if (step := _step((cube, noise), levels, pair, confidence))]
    corrected = holm([step.p_value for step in found])
    steps = [replace(step, p_value=p_value) for step, p_value in zip(found, corrected, strict=True)]
    return sorted(steps, key=lambda step: (step.label_gain, step.worse, step.better))


def _step(
    scores: tuple[Cube, SeedNoise | None], levels: dict[str, float], pair: tuple[str, str], confidence: float
) -> Step | None:
    (cube, noise), (worse, better) = scores, pair
    bought = gain(cube, better, worse)
    if bought is None:
        return None
    low, high = interval(bought, noise, confidence) or (None, None)
    p_value = min(1.0, 2 * p_greater(bought, 0.0, noise))
    return Step(worse, better, levels[better] - levels[worse], bought.mean, low, high, p_value)


def describe_smallest_gain(steps: Sequence[Step], alpha: float) -> str:
    """A sentence about the smallest gain in labels that bought one in the network."""
    bought = next((step for step in steps if step.p_value <= alpha), None)
    if bought is None:
        return "No gain in labels certainly bought a gain of the network."
    return (
        "The smallest gain in labels that certainly bought a gain of the network: "
        f"{format_points(bought.label_gain)} points, from {bought.worse} to {bought.better}, "
        f"for {format_points(bought.gain)} points of the network."
    )
