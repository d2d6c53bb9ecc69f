"""Which cases networks are trained on and which are held out."""

from dataclasses import dataclass

import numpy as np

from contract.errors import UsageError
from coordinator.study.settings import TrainSettings


@dataclass(frozen=True, slots=True)
class Split:
    """Cases that networks are trained on, and held-out cases; the same for all label versions."""

    train: tuple[str, ...]
    holdout: tuple[str, ...]


def split_cases(cases: tuple[str, ...], train: TrainSettings, dataset: str) -> Split:
    """Hold cases out at random, by `split_seed` and the cases alone.

    Raises:
        UsageError: fewer than two cases.
    """
    if len(cases) < 2:
        raise UsageError(
            f"{dataset}: training needs at least 2 sound cases (one is held out), but there are {len(cases)}"
        )
    count = min(max(round(train.holdout * len(cases)), 1), len(cases) - 1)
    order = np.random.Generator(np.random.Philox(key=train.split_seed)).permutation(len(cases))
    holdout = sorted(cases[i] for i in order[:count])
    return Split(train=tuple(sorted(set(cases) - set(holdout))), holdout=tuple(holdout))
