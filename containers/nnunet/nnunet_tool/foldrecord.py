"""`fold.json`: the cases that a fold's model was trained on, and those it labelled; written last, when all is done."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contract import UsageError, atomic

FILE = "fold.json"


@dataclass(frozen=True, slots=True)
class FoldRecord:
    """What a fold did.

    Attributes:
        fold: 0..4.
        trained_on: case -> patches of it that a training step was taken on, counted from the batches.
        labelled: the cases that the model labelled.
    """

    fold: int
    trained_on: Mapping[str, int]
    labelled: tuple[str, ...]


def write_record(folder: Path, record: FoldRecord) -> None:
    """Write `fold.json`."""
    content = {"fold": record.fold, "trained_on": dict(sorted(record.trained_on.items()))}
    atomic.write_json(folder / FILE, {**content, "labelled": list(record.labelled)})


def read_record(folder: Path) -> FoldRecord:
    """Read `fold.json`.

    Raises:
        UsageError: the folder holds no results of a fold.
    """
    file = folder / FILE
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return FoldRecord(content["fold"], content["trained_on"], tuple(content["labelled"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file}: must be what the fold's step wrote, but: {error}; run that step again") from None
