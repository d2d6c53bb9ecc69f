"""Which of the tool's label ids are which network's: the ids go on from network to network, as the names do."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contract import UsageError

MODEL = "nnUNetTrainerNoMirroring__nnUNetResEncUNetLPlans__3d_fullres"
"""Folder of a network in its archive: the trainer, the plans and the configuration."""
FIRST, LAST = 551, 559
VERTEBRAE, BRAIN, HEAD, NECK = 552, 553, 557, 558
"""Networks that tell where a head is, and those of its structures."""
NEEDS = {HEAD: frozenset({BRAIN}), NECK: frozenset({VERTEBRAE, BRAIN})}
"""Network -> those that must be run before it."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one network tells apart.

    Attributes:
        number: of the network, 551 to 559.
        folder: with plans.json, dataset.json and the checkpoint.
        offset: what is added to the network's label ids to get the tool's.
    """

    number: int
    folder: Path
    offset: int


def read_parts(weights: Mapping[str, Path], labels: Mapping[int, str]) -> list[Part]:
    """Find the label ids of each network by the names in its dataset.json.

    Args:
        weights: of all networks, in the order of their numbers.
        labels: the manifest's.

    Raises:
        UsageError: a network has other structures than the manifest says, or they can't be read.
    """
    parts, offset = [], 0
    for number, path in zip(range(FIRST, LAST + 1), weights.values(), strict=True):
        part = Part(number, path / MODEL, offset)
        offset += _check_names(part, labels)
        parts.append(part)
    if offset != len(labels):
        raise UsageError(f"{parts[-1].folder}: networks must have {len(labels)} structures, but have {offset}")
    return parts


def choose_numbers(option: str) -> frozenset[int]:
    """The numbers of option `networks`."""
    return frozenset(range(FIRST, LAST + 1) if option == "all" else map(int, option.split(",")))


def _check_names(part: Part, labels: Mapping[int, str]) -> int:
    """Compare a network's names with the manifest's; how many it has."""
    file = part.folder / "dataset.json"
    try:
        names = {name: i for name, i in json.loads(file.read_bytes())["labels"].items() if i != 0}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise UsageError(f"{file}: must name the network's structures, but: {error}; fetch the weights again") from None
    for name, i in names.items():
        if not isinstance(i, int) or labels.get(part.offset + i) != name:
            raise UsageError(
                f"{file}: structures must be those of the tool's manifest, but {i} is {name!r}; fetch the weights again"
            )
    return len(names)
