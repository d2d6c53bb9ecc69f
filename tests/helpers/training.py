"""A short training that many tests start, and its results."""

import hashlib
from pathlib import Path
from typing import Protocol

SHORT = ("--epochs", "4", "--batches-per-epoch", "5", "--checkpoint-every", "2")
STEPS = 20
RESULTS = ("model.pt", "identity.json", "log.parquet", "events.out.tfevents.0.trainer")


class Workbench(Protocol):
    """A workbench with prepared stores."""

    def out(self, name: str) -> Path:
        """Folder of a step's results."""


def stores(bench: Workbench) -> dict[str, Path]:
    """Inputs of `train`."""
    return {"store": bench.out("store"), "labels": bench.out("labels"), "reference": bench.out("labels")}


def results(bench: Workbench, name: str) -> dict[str, str]:
    """Digest of each result of `train`."""
    return {file: hashlib.sha256((bench.out(name) / file).read_bytes()).hexdigest() for file in RESULTS}
