"""Two folders of label maps in, a frame of scores out; no compiler is started before something is scored.

folders ──a process a few cases──► casescores ──► metrics ──┬──► surfaces ──► nearest     surface Dice
└──► distances                HD95, ASSD
settings       what is measured: tolerances, slices, distances
conventions    how empty masks count, by name
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
