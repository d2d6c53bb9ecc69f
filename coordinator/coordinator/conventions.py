"""Rules for organs that a case does not show, by name: the choice moves the numbers, so every table names its own.

The same scores, as an organ is missing in both maps, in the reference alone, in the prediction alone:

    raw              dropped   0         0    as DeepMind's code leaves them
    flare            1         0         0    FLARE challenges
    totalsegmentator dropped   dropped   0    TotalSegmentator's evaluation: what is invented is not counted
    word             0         0         0    WORD's script
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import polars as pl

from contract.yamlfiles import did_you_mean

DROPPED = math.nan
"""A score that no mean counts."""


@dataclass(frozen=True, slots=True)
class Convention:
    """What Dice and surface Dice are where a mask is empty.

    Attributes:
        name: how a study asks for it.
        both_empty: score where neither map has the organ.
        reference_empty: score where only the prediction has it.
        prediction_empty: score where only the reference has it.
        origin: who scores like this.
    """

    name: str
    both_empty: float
    reference_empty: float
    prediction_empty: float
    origin: str

    @property
    def rule(self) -> str:
        """The rule as a sentence, for people."""
        return (
            f"An organ that neither map has {_counted(self.both_empty)}; one that only the prediction has "
            f"{_counted(self.reference_empty)}; one that only the reference has {_counted(self.prediction_empty)}."
        )


CONVENTIONS: Mapping[str, Convention] = MappingProxyType(
    {
        convention.name: convention
        for convention in (
            Convention("raw", DROPPED, 0.0, 0.0, "DeepMind's surface-distance"),
            Convention("flare", 1.0, 0.0, 0.0, "FLARE challenges"),
            Convention("totalsegmentator", DROPPED, DROPPED, 0.0, "TotalSegmentator's evaluation"),
            Convention("word", 0.0, 0.0, 0.0, "WORD's evaluation"),
        )
    }
)


def find(name: str) -> Convention:
    """A convention by name.

    Raises:
        ValueError: there is none of that name; the nearest is given.
    """
    if name not in CONVENTIONS:
        raise ValueError(f"unknown convention {name!r}; {did_you_mean(name, CONVENTIONS)}")
    return CONVENTIONS[name]


def apply(convention_name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Replace the scores of empty masks by what a convention says.

    Args:
        convention_name: one of `CONVENTIONS`.
        frame: raw scores, a row a case and organ, with dice, surface_dice, reference_voxels, prediction_voxels.

    Returns:
        The same rows and columns; NaN in dice and surface_dice where the convention drops a score.

    Raises:
        ValueError: there is no convention of that name; the nearest is given.
    """
    convention = find(convention_name)
    no_reference, no_prediction = pl.col("reference_voxels") == 0, pl.col("prediction_voxels") == 0
    return frame.with_columns(
        pl.when(no_reference & no_prediction)
        .then(convention.both_empty)
        .when(no_reference)
        .then(convention.reference_empty)
        .when(no_prediction)
        .then(convention.prediction_empty)
        .otherwise(pl.col(metric))
        .alias(metric)
        for metric in ("dice", "surface_dice")
    )


def _counted(score: float) -> str:
    return "is not counted" if math.isnan(score) else f"counts as {score:g}"
