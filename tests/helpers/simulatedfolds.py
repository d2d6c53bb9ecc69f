"""Cross-validation with known truth: models that really learn, from labels with errors, and are tested in folds.

Each case has features, and each organ a value that depends on them; labels are such values with an annotator's noise. The
worse labels have a bias and further noise. A model is a ridge regression of labels on features, so models of two folds
share what they learned from common cases, as networks do. A score falls with the error of the value. The truth is what
the better labels gain on new cases, on average over all training sets of this size.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from helpers.simulated import Floats, Generator, generator

from coordinator.statistics.gains import Cube

NEW_CASES = 1000
"""On which the truth is measured."""
LOSS = 0.1
"""Of score, for an error of one standard deviation of the values."""


@dataclass(frozen=True, slots=True)
class FoldShape:
    """What a study is like.

    Attributes:
        cases: in all.
        folds: number of them.
        features: of a case; with more of them, a model depends more on its training cases.
        organs: number of them.
        seeds: models on each label version in each fold.
        seed_std: standard deviation of a model's score over seeds.
        bias: of the worse labels, in standard deviations of the values.
        noise: of the worse labels, likewise.
    """

    cases: int = 20
    folds: int = 5
    features: int = 5
    organs: int = 4
    seeds: int = 3
    seed_std: float = 0.005
    bias: float = 0.3
    noise: float = 1.0


def draw_folds(shape: FoldShape, random: Generator) -> tuple[Cube, float]:
    """Draw one study: the scores of the models on `base` and `worse`, and what its own models gain on new cases."""
    weights = random.normal(size=(shape.features, shape.organs)) / shape.features**0.5
    features, new = (random.normal(size=(cases, shape.features)) for cases in (shape.cases, NEW_CASES))
    base, truth = (x @ weights + 0.5 * random.normal(size=(len(x), shape.organs)) for x in (features, new))
    worse = base + shape.bias + shape.noise * random.normal(size=base.shape)
    fold_of = random.permutation(shape.cases) % shape.folds
    scores, gain = np.empty((2, shape.cases, shape.seeds, shape.organs)), 0.0
    for fold in range(shape.folds):
        held_out = fold_of == fold
        for version, labels in enumerate((base, worse)):
            fit = _fit(features[~held_out], labels[~held_out])
            scores[version, held_out] = _score(features[held_out], base[held_out], fit)[:, None]
            scores[version, held_out] += _draw_seeds(shape, int(held_out.sum()), random)
            gain += (1 - 2 * version) * float(_score(new, truth, fit).mean()) * held_out.mean()
    names = tuple(f"{case:04d}" for case in range(shape.cases))
    axes = (("base", "worse"), names, tuple(range(shape.seeds)), tuple(range(shape.organs)))
    return Cube(*axes, scores, folds=tuple(fold_of.tolist())), gain


@lru_cache(maxsize=64)
def true_gain(shape: FoldShape, studies: int = 400) -> float:
    """The gain on new cases, on average over training sets."""
    quiet = replace(shape, seeds=1, seed_std=0.0)
    return float(np.mean([draw_folds(quiet, generator(4242, number))[1] for number in range(studies)]))


def _fit(features: Floats, labels: Floats) -> Floats:
    """(1 + features, organs) ridge regression; the intercept is free."""
    design = np.column_stack([np.ones(len(features)), features])
    penalty = np.diag([0.0, *np.ones(features.shape[1])])
    return np.linalg.solve(design.T @ design + penalty, design.T @ labels)


def _score(features: Floats, values: Floats, fit: Floats) -> Floats:
    """(cases, organs) scores."""
    return 1 - LOSS * np.abs(np.column_stack([np.ones(len(features)), features]) @ fit - values)


def _draw_seeds(shape: FoldShape, cases: int, random: Generator) -> Floats:
    """What a seed does to a model as a whole, and to single cases and organs."""
    size = (cases, shape.seeds, shape.organs)
    whole = random.normal(0, shape.seed_std, (1, shape.seeds, 1))
    return whole + random.normal(0, 0.01, (*size[:2], 1)) + random.normal(0, 0.01, size)
