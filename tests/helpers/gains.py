"""Gains for tests of statistics."""

from collections.abc import Sequence

import numpy as np

from coordinator.statistics.gains import Gain
from coordinator.statistics.seednoise import SeedError


def make_gain(values: Sequence[float]) -> Gain:
    """A gain with these values by case."""
    return Gain(np.array(values), tuple(map(str, range(len(values)))), max(len(values) - 1.0, 1.0))


def make_seed_error(std: float, freedom: float) -> SeedError:
    """A measured error of seeds."""
    return SeedError(std, freedom, std, "measured")
