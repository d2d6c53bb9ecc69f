"""A module beside tool.py, since most tools have some."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """What the probe was told."""

    threshold: float
    pause_s: float
