"""Gains for tests of statistics."""

import numpy as np

from coordinator.statistics.gains import Gain


def make_gain(values: list[float], seeds: int = 1) -> Gain:
    """A gain with these values by case."""
    return Gain(np.array(values), tuple(map(str, range(len(values)))), seeds)
