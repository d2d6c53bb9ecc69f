"""The gain of one network over another, paired by case: both are tested on the same images.

scores ──► cube (version, case, seed, organ) ──► one gain for each case ──► intervals
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
        versions: label versions that the networks were trained on; first axis of `scores`.
        cases: second axis.
        seeds: third axis.
        labels: fourth axis.
        scores: (versions, cases, seeds, labels); NaN where a score is missing or dropped by the convention.
    """

    versions: tuple[str, ...]
    cases: tuple[str, ...]
    seeds: tuple[int, ...]
    labels: tuple[int, ...]
    scores: Floats

    def select_organ(self, label: int) -> "Cube":
        """The scores of one organ."""
        index = self.labels.index(label)
        return Cube(self.versions, self.cases, self.seeds, (label,), self.scores[..., index : index + 1])


@dataclass(frozen=True, slots=True, eq=False)
class Gain:
    """How much better one network is than another.

    Attributes:
        by_case: (cases,) gains; their mean is the difference between the two means of organ means (eq. 4).
        cases: names of the cases.
        seeds: number of seeds that both networks have.
    """

    by_case: Floats
    cases: tuple[str, ...]
    seeds: int

    @property
    def mean(self) -> float:
        """The mean gain over the cases."""
        return float(self.by_case.mean())


def make_cube(frame: pl.DataFrame, convention: str, labels: Sequence[int], metric: str = "dice") -> Cube:
    """Arrange one dataset's scores in an array.

    Args:
        frame: raw scores of one dataset's networks, with `version`, `seed`, `case`, `label`.
        convention: name of the scoring convention.
        labels: ids of the organs to include.
        metric: dice or surface_dice.

    Returns:
        All label versions, cases and seeds of the frame, sorted.
    """
    counted = conventions.apply(convention, frame).filter(pl.col("label").is_in(list(labels)))
    axes = {
        "version": sorted(frame["version"].unique()),
        "case": sorted(frame["case"].unique()),
        "seed": sorted(frame["seed"].unique()),
        "label": list(labels),
    }
    scores = np.full([len(values) for values in axes.values()], np.nan)
    indices = [[values.index(value) for value in counted[name]] for name, values in axes.items()]
    scores[tuple(indices)] = counted[metric].to_numpy()
    return Cube(tuple(axes["version"]), tuple(axes["case"]), tuple(axes["seed"]), tuple(labels), scores)


def gain(cube: Cube, better: str, worse: str) -> Gain | None:
    """The gain of one network over another on the cases and organs that both have; None where they share none.

    Where organs are missing in some cases, a case's gain is its share in the mean of organ means: by_case is the mean
    plus (cases / organs) * sum over organs of (its difference - the organ's mean difference) / (cases with that organ).
    """
    if better not in cube.versions or worse not in cube.versions:
        return None
    difference = cube.scores[cube.versions.index(better)] - cube.scores[cube.versions.index(worse)]
    shared = np.isfinite(difference)
    seeds = int(shared.any(axis=(0, 2)).sum())
    by_case_and_organ = _finite_mean(difference, axis=1)
    present = np.isfinite(by_case_and_organ)
    cases, organs = np.flatnonzero(present.any(axis=1)), np.flatnonzero(present.any(axis=0))
    if not cases.size:
        return None
    table, present = by_case_and_organ[cases][:, organs], present[cases][:, organs]
    organ_means = _finite_mean(table, axis=0)
    centred = np.where(present, table - organ_means, 0.0) / present.sum(axis=0)
    by_case = organ_means.mean() + len(table) * centred.mean(axis=1)
    return Gain(by_case, tuple(cube.cases[i] for i in cases), seeds)


def seed_noise(cube: Cube) -> SeedNoise | None:
    """How much a network's mean score varies with the seed alone, pooled over label versions; None for one seed.

    Two-way analysis of variance of each version: the mean square between seeds less that of the residual, over cases.
    """
    variances: list[float] = []
    freedom = 0
    for by_case in _finite_mean(cube.scores, axis=3):
        seeds = np.isfinite(by_case).any(axis=0)
        table = by_case[:, seeds]
        table = table[np.isfinite(table).all(axis=1)]
        cases, count = table.shape
        if count < 2 or cases < 2:
            continue
        centred = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0, keepdims=True) + table.mean()
        residual = (centred**2).sum() / ((cases - 1) * (count - 1))
        variances += [float(table.mean(axis=0).var(ddof=1) - residual / cases)] * (count - 1)
        freedom += count - 1
    return SeedNoise(max(sum(variances) / freedom, 0.0) ** 0.5, freedom) if variances else None


def _finite_mean(values: Floats, axis: int) -> Floats:
    """The mean along an axis without NaN; NaN where all values are NaN."""
    finite = np.isfinite(values)
    count = finite.sum(axis=axis)
    total = np.where(finite, values, 0.0).sum(axis=axis)
    mean: Floats = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean
