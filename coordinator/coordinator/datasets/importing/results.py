"""From where to where a case is imported, and how that ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

WORK = "work"
"""Folder in the hidden one for temporary files; it is removed at the end."""


@dataclass(frozen=True, slots=True)
class Place:
    """From where to where.

    Attributes:
        source: folder below which the paths of cases lie.
        target: the dataset folder that is being made.
        data: folder of dataset folders.
    """

    source: Path
    target: Path
    data: Path


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How the import of a case ended.

    Attributes:
        case: its name.
        problem: why it was set aside; None where it was imported.
        image: `from`, `how` and `sha256` of its image.
        labels: the same of its labels; `from` is a list where masks were merged; empty where it has none.
        organs: label ids that occur.
        overlaps: "organ that got the voxels > organ that lost them" -> how many.
        overlap_voxels: how many lie in more than one mask.
    """

    case: str
    problem: str | None = None
    image: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str | list[str]] = field(default_factory=dict)
    organs: tuple[int, ...] = ()
    overlaps: Mapping[str, int] = field(default_factory=dict)
    overlap_voxels: int = 0
