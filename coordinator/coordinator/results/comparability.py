"""Two networks are compared only where nothing but their label version differs.

The plan makes them equal, but a network that was resumed on another machine, or copied from another run, may not be.
So what the trainer recorded about each (`identity.json`) decides, not the plan.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from contract import statefiles

IDENTITY = "identity.json"
LABELS = frozenset({"config.labels", "config.parent"})
"""What may differ: the label version that a network, or its parent, was trained on."""
OUTCOME = frozenset({"failure"})
"""What is a result of training, not a condition."""


def find_differences(model: Path, reference: Path) -> list[str]:
    """Find what differs between two trained networks beside the label version.

    Args:
        model: folder of a network.
        reference: folder of the network that it is compared with, of the same seed.

    Returns:
        "threads: 2, but 1 for the other", and so on; empty where they may be compared, or where one does not exist.
    """
    conditions = dict(_flatten(_read_identity(model)))
    reference_conditions = dict(_flatten(_read_identity(reference)))
    if not conditions or not reference_conditions:
        return []
    names = sorted({*conditions, *reference_conditions} - LABELS - OUTCOME)
    return [
        f"{name.split('.', 1)[-1]}: {conditions.get(name)!r}, but {reference_conditions.get(name)!r} for the other"
        for name in names
        if conditions.get(name) != reference_conditions.get(name)
    ]


def _read_identity(folder: Path) -> Mapping[str, Any]:
    return statefiles.read(folder / IDENTITY, statefiles.parse_mapping) or {}


def _flatten(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Turn nested mappings into dotted names."""
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
