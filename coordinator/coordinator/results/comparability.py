"""One factor: two networks are compared only where nothing but their label version differs.

The plan makes them equal; a network that was resumed on another machine, or copied from another run, may not be. What
the trainer wrote down about each (`identity.json`) decides, not what was planned.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

IDENTITY = "identity.json"
FACTOR = frozenset({"config.labels", "config.parent"})
"""What may differ: the label version that a network learned from, or that its parent did."""
OUTCOME = frozenset({"failure"})
"""What is a result, not a condition."""


def unequal(model: Path, reference: Path) -> list[str]:
    """Say in what two trained networks differ beside the label version.

    Args:
        model: folder of a network.
        reference: folder of the network that it is compared with, of the same seed.

    Returns:
        "threads: 2, but 1 for the other", and so on; empty where they may be compared, or where one does not exist.
    """
    one, other = dict(_flat(_identity(model))), dict(_flat(_identity(reference)))
    if not one or not other:
        return []
    names = sorted({*one, *other} - FACTOR - OUTCOME)
    return [
        f"{name.split('.', 1)[-1]}: {one.get(name)!r}, but {other.get(name)!r} for the other"
        for name in names
        if one.get(name) != other.get(name)
    ]


def _identity(folder: Path) -> Mapping[str, Any]:
    try:
        return dict(json.loads((folder / IDENTITY).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _flat(content: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Nested mappings as dotted names."""
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value
