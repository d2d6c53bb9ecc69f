"""Scores label maps against reference labels: two folders in, a frame of scores out.

    folders ──several processes──► casescores ──► metrics ──┬──► surfaces ──► nearest    Dice, surface Dice
                                                            └──► distances               HD95, ASSD
    shells         what share of each thin shell around an organ's surface a label map labels
    settings       what to measure: tolerances, slices, distances
    conventions    named rules for empty masks
    schema         the columns of the frame
    surface_area_table    the area of a surface element

Importing this package is cheap: numba compiles at the first score.
"""

from typing import TYPE_CHECKING

from contract.lazy import lazy_names

if TYPE_CHECKING:
    from coordinator.scoring.conventions import CONVENTIONS
    from coordinator.scoring.folders import score_folders
    from coordinator.scoring.settings import Scoring

__all__ = ["CONVENTIONS", "Scoring", "score_folders"]

__getattr__, __dir__ = lazy_names(
    __name__, {"CONVENTIONS": "conventions", "Scoring": "settings", "score_folders": "folders"}
)
