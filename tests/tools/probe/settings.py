"""A module beside tool.py, since most tools have some."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of the probe."""

    threshold: float
    pause_s: float
