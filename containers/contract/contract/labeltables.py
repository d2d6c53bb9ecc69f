"""Label tables: which label id is which organ, of a dataset or of a tool's variant."""

from typing import Annotated

from pydantic import AfterValidator

from contract.yamlfiles import Line

MOST_LABEL = 65535


def _check_labels(labels: dict[int, str]) -> dict[int, str]:
    if wrong := [label for label in labels if not 0 <= label <= MOST_LABEL]:
        raise ValueError(f"ids must lie in 1..{MOST_LABEL}, but {wrong} came")
    if labels.get(0, "background") != "background":
        raise ValueError(f"0 must be background, but it is {labels[0]!r}")
    names: set[str] = set()
    repeated: set[str] = set()
    for name in labels.values():
        (repeated if name in names else names).add(name)
    if repeated:
        raise ValueError(f"names must be unique, but {sorted(repeated)} came twice; merge the ids first")
    return labels


LabelTable = Annotated[dict[int, Line], AfterValidator(_check_labels)]
"""Label id -> organ; 0 may be named, and is background."""
