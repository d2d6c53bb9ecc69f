"""The noise of seeds: how much a network's mean score changes when nothing but its seed does.

Each label version's networks show their own noise, from few seeds. The others on the same cases show more of it, but
one version may be restless where the others are calm. So a version's variance is judged by both:

    clearly noisier              its own variance, with its own degrees of freedom
    else                         the larger of its own and a mean with theirs, which counts as 4 degrees of freedom more
    only one other               its own variance
    one seed                     that of the others
    nobody has two seeds         what the study file says, else unknown

`tests/benchmarks/calibration.py` shows that three seeds notice one version that is 7 times noisier than the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from coordinator.statistics.gains import Cube, Floats, mean_over_organs

MOST_BORROWED = 4.0
"""Degrees of freedom that the other versions may add to those of one. More would hide a version that is noisier."""


CLEARLY_NOISIER = 1.5
"""A version whose variance exceeds that of the others by this factor borrows nothing from them."""
FEWEST_OTHERS = 2
"""Where a version is compared with the only other one, nothing shows whether both are equally noisy."""


@dataclass(frozen=True, slots=True)
class SeedError:
    """The part of a gain's error that seeds make.

    Attributes:
        std: standard deviation of the gain over seeds, in units of the score.
        freedom: degrees of freedom of `std`; infinite where it is taken as known.
        networks: standard deviation of a single network's score over seeds, the larger one of the two versions.
        source: "measured"; "measured on others" where one of the two versions has one seed; "given" by the study file.
    """

    std: float
    freedom: float
    networks: float
    source: str


@dataclass(frozen=True, slots=True)
class _Noise:
    """Variance of one version's networks over seeds, which may be negative: it is a difference of mean squares."""

    variance: float
    freedom: int


def seed_error(cube: Cube, better: str, worse: str, given_std: float | None = None) -> SeedError | None:
    """The seeds' part in the error of the gain of one version's networks over another's; None where it is unknown.

    Args:
        cube: scores of all networks on these cases.
        better: label version.
        worse: label version.
        given_std: standard deviation of a network's score over seeds, used where no version has two seeds.
    """
    noises = _network_noises(cube)
    seeds = {version: cube.networks(version).shape[1] for version in (better, worse)}
    if not noises:
        if given_std is None:
            return None
        return SeedError(given_std * sum(1 / n for n in seeds.values()) ** 0.5, np.inf, given_std, "given")
    judged = {version: _judge(noises, version) for version in (better, worse)}
    parts = [(variance / seeds[version], freedom) for version, (variance, freedom) in judged.items()]
    total = sum(part for part, _ in parts)
    pooled = sum(noise.freedom for noise in noises.values())
    freedom = total**2 / sum(part**2 / freedom for part, freedom in parts) if total else pooled
    return SeedError(
        std=total**0.5,
        freedom=min(freedom, pooled),
        networks=max(variance for variance, _ in judged.values()) ** 0.5,
        source="measured" if {better, worse} <= noises.keys() else "measured on others",
    )


def _judge(noises: Mapping[str, _Noise], version: str) -> tuple[float, float]:
    """Variance of a version's networks over seeds, and its degrees of freedom, judged by its own and the others'."""
    others = [noise for name, noise in noises.items() if name != version]
    own = noises.get(version)
    if own is not None and len(others) < FEWEST_OTHERS:
        return max(own.variance, 0.0), own.freedom
    freedom = sum(noise.freedom for noise in others)
    pool = max(sum(noise.variance * noise.freedom for noise in others) / freedom, 0.0)
    if own is None:
        return pool, freedom
    if own.variance > CLEARLY_NOISIER * pool:
        return own.variance, own.freedom
    borrowed = min(MOST_BORROWED, freedom)
    mean = (own.variance * own.freedom + pool * borrowed) / (own.freedom + borrowed)
    return max(own.variance, mean, 0.0), own.freedom + borrowed


@lru_cache(maxsize=32)
def _network_noises(cube: Cube) -> Mapping[str, _Noise]:
    """The noise of all versions that have two seeds or more."""
    return {version: noise for version in cube.versions if (noise := _network_noise(cube, version))}


def _network_noise(cube: Cube, version: str) -> _Noise | None:
    """Variance over seeds of the mean of organ means; None for one seed.

    The variance between the seeds' means, less what cases add to it: the variance of the seeds' differences on single
    cases (two-way analysis of variance, with gaps). In folds, that is the variance within each of them, since a seed
    makes another network in each.
    """
    scores = cube.networks(version).transpose(1, 0, 2)
    seeds = len(scores)
    scores = np.where(np.isfinite(scores).all(axis=0), scores, np.nan)
    if seeds < 2 or np.isfinite(scores[0]).any(axis=1).sum() < 2:
        return None
    by_case = mean_over_organs(scores - scores.mean(axis=0)).by_case
    between = float((by_case.mean(axis=1) ** 2).sum())
    from_cases = _variance_within(by_case, _fold_places(cube)) / by_case.shape[1]
    return _Noise((between - from_cases) / (seeds - 1), seeds - 1)


def _fold_places(cube: Cube) -> list[list[int]]:
    """For each fold, where its cases stand among all; one list of all without folds."""
    folds = cube.folds or (0,) * len(cube.cases)
    return [[place for place, of_case in enumerate(folds) if of_case == fold] for fold in sorted(set(folds))]


def _variance_within(by_case: Floats, places: list[list[int]]) -> float:
    """Variance of the values of (seeds, cases) around the means of folds, summed over seeds; 0 for one case in each."""
    freedom = sum(len(place) - 1 for place in places)
    squares = sum(float(by_case[:, place].var(axis=1).sum()) * len(place) for place in places)
    return squares / freedom if freedom else 0.0
