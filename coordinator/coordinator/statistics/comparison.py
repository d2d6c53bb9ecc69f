"""Two label versions compared: the gain of one's networks over the other's, with both parts of its error.

cube ──┬──► gains       the gain by case, and organs that too few cases have
       └──► seednoise   what seeds add to its error, on the organs that remain
"""

from dataclasses import dataclass

from coordinator.statistics import intervals
from coordinator.statistics.gains import Cube, Gain, gain
from coordinator.statistics.intervals import Interval
from coordinator.statistics.seednoise import SeedError, seed_error


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The gain of the networks on one label version over those on another.

    Attributes:
        gain: by case.
        seeds: the part of its error that seeds make; None where it is unknown, and nothing holds in general.
    """

    gain: Gain
    seeds: SeedError | None

    def interval(self, confidence: float) -> Interval | None:
        """Its interval, within -1 and 1, which no gain of scores exceeds; None for fewer than two cases."""
        ends = intervals.interval(self.gain, self.seeds, confidence)
        return None if ends is None else Interval(max(ends.low, -1.0), min(ends.high, 1.0))

    def p_different(self) -> float:
        """Two-sided p-value for "the gain is not 0"."""
        return intervals.p_different(self.gain, self.seeds)

    def p_equivalent(self, margin: float) -> float:
        """P-value for "the gain lies within ± margin"."""
        return intervals.p_equivalent(self.gain, margin, self.seeds)


def compare(cube: Cube, better: str, worse: str, given_std: float | None = None) -> Comparison | None:
    """Compare two label versions' networks; None where they share no case and organ that count.

    Args:
        cube: scores of all networks on these cases.
        better: label version; the gain is that of its networks.
        worse: label version.
        given_std: standard deviation of a network's score over seeds, used where no version has two seeds.
    """
    found = gain(cube, better, worse)
    if found is None:
        return None
    return Comparison(found, seed_error(cube.without(found.left_out), better, worse, given_std))
