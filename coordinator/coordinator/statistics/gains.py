"""What the original labels gain over a label version, paired by case: the same images, two networks.

scores ──► cube (version, case, seed, organ) ──► one gain a case ──► intervals
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from coordinator.scoring import conventions
from coordinator.statistics.intervals import SeedNoise

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Cube:
    """Scores of all networks on a dataset's held-out cases.

    Attributes:
        versions: what the networks were trained on; first axis of `scores`.
        cases: second axis.
        seeds: third axis.
        labels: fourth axis.
        scores: (versions, cases, seeds, labels); NaN where there is no score, or the convention drops it.
    """

    versions: tuple[str, ...]
    cases: tuple[str, ...]
    seeds: tuple[int, ...]
    labels: tuple[int, ...]
    scores: Floats

    def only(self, label: int) -> "Cube":
        """The same of one organ alone."""
        index = self.labels.index(label)
        return Cube(self.versions, self.cases, self.seeds, (label,), self.scores[..., index : index + 1])


@dataclass(frozen=True, slots=True, eq=False)
class Gain:
    """How much better one network is than another.

    Attributes:
        by_case: (cases,) gains whose mean is the difference of the mean of organ means (eq. 4).
        cases: their names.
        seeds: how many seeds both networks have.
    """

    by_case: Floats
    cases: tuple[str, ...]
    seeds: int

    @property
    def mean(self) -> float:
        """The gain."""
        return float(self.by_case.mean())


def make_cube(frame: pl.DataFrame, convention: str, labels: Sequence[int], metric: str = "dice") -> Cube:
    """Arrange one dataset's scores.

    Args:
        frame: raw scores of networks with `version`, `seed`, `case`, `label`; of one dataset.
        convention: name of the rule for empty masks.
        labels: the organs that count.
        metric: dice or surface_dice.

    Returns:
        All versions, cases and seeds that the frame has, sorted.
    """
    counted = conventions.apply(convention, frame).filter(pl.col("label").is_in(list(labels)))
    axes = {
        "version": sorted(frame["version"].unique()),
        "case": sorted(frame["case"].unique()),
        "seed": sorted(frame["seed"].unique()),
        "label": list(labels),
    }
    scores = np.full([len(values) for values in axes.values()], np.nan)
    at = [[values.index(value) for value in counted[name]] for name, values in axes.items()]
    scores[tuple(at)] = counted[metric].to_numpy()
    return Cube(tuple(axes["version"]), tuple(axes["case"]), tuple(axes["seed"]), tuple(labels), scores)


def gain(cube: Cube, better: str, worse: str) -> Gain | None:
    """The gain of one network over another, over cases and organs that both have; None where there are none.

    Where organs miss in some cases, a case's gain is its share in the mean of organ means: by_case is the mean plus
    (cases / organs) * sum over organs of (its difference - the organ's mean difference) / (cases with that organ).
    """
    if better not in cube.versions or worse not in cube.versions:
        return None
    difference = cube.scores[cube.versions.index(better)] - cube.scores[cube.versions.index(worse)]
    shared = np.isfinite(difference)
    seeds = int(shared.any(axis=(0, 2)).sum())
    by_cell = _mean(difference, axis=1)
    there = np.isfinite(by_cell)
    kept, organs = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    if not kept.size:
        return None
    cells, there = by_cell[kept][:, organs], there[kept][:, organs]
    organ_means = _mean(cells, axis=0)
    centred = np.where(there, cells - organ_means, 0.0) / there.sum(axis=0)
    by_case = organ_means.mean() + len(cells) * centred.mean(axis=1)
    return Gain(by_case, tuple(cube.cases[i] for i in kept), seeds)


def seed_noise(cube: Cube) -> SeedNoise | None:
    """How much a network's mean score changes with its seed alone, pooled over all label versions; None for one seed.

    Two-way analysis of variance of each version: the mean square between seeds less that of the residual, over cases.
    """
    found: list[float] = []
    freedom = 0
    for by_case in _mean(cube.scores, axis=3):
        seeds = np.isfinite(by_case).any(axis=0)
        table = by_case[:, seeds]
        table = table[np.isfinite(table).all(axis=1)]
        cases, count = table.shape
        if count < 2 or cases < 2:
            continue
        centred = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0, keepdims=True) + table.mean()
        residual = (centred**2).sum() / ((cases - 1) * (count - 1))
        found += [float(table.mean(axis=0).var(ddof=1) - residual / cases)] * (count - 1)
        freedom += count - 1
    return SeedNoise(max(sum(found) / freedom, 0.0) ** 0.5, freedom) if found else None


def _mean(values: Floats, axis: int) -> Floats:
    """The mean of what is not NaN; NaN where nothing is."""
    there = np.isfinite(values)
    count = there.sum(axis=axis)
    total = np.where(there, values, 0.0).sum(axis=axis)
    mean: Floats = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean
