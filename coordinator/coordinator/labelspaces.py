"""From a generator's label ids to a dataset's, by organ name and never by position.

A label map file, `<tool>/remaps/<dataset>.yaml`, says which of the generator's organs each organ of the dataset is:

    map: {kidney: [kidney_left, kidney_right], liver: [liver]}
    unavailable: {rectum: TotalSegmentator has no rectum}
    discard: [heart, …]            # what the generator knows and the dataset does not

A generator whose labels are the dataset's own needs none.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from contract import yamlfiles
from contract.errors import CaseError, UsageError
from contract.volumes import LabelMap
from contract.yamlfiles import Strict, did_you_mean
from coordinator.study import Generator


class LabelMapFile(Strict):
    """A label map file."""

    map: dict[str, list[str]] = Field(description="target organ -> source organs that are merged into it")
    unavailable: dict[str, str] = Field(default_factory=dict, description="target organ -> why it cannot be had")
    discard: list[str] = Field(default_factory=list, description="source organs that become background")


@dataclass(frozen=True, slots=True)
class LabelSpace:
    """How one generator's ids become one dataset's.

    Attributes:
        to_target: source id -> target id, for every id of the generator; 0 for discarded ones.
        unavailable: target organ -> why no source gives it.
    """

    to_target: dict[int, int]
    unavailable: dict[str, str]


def label_space(generator: Generator, target: dict[int, str], dataset: str) -> LabelSpace:
    """The label space of a generator on a dataset.

    Args:
        generator: with tool and variant.
        target: the dataset's label id -> organ.
        dataset: its name.

    Raises:
        UsageError: the generator has labels of its own and there is no label map file, or it is unsound.
    """
    source = generator.tool.manifest.variant(generator.variant).labels
    if source == "from-dataset":
        return LabelSpace({label: label for label in target}, {})
    file = generator.tool.folder / "remaps" / f"{dataset}.yaml"
    if not file.is_file():
        raise UsageError(f"{file}: {generator.name} has labels of its own, so a label map must be there, but is not")
    return read_label_map(file, source, target)


def read_label_map(file: Path, source: dict[int, str], target: dict[int, str]) -> LabelSpace:
    """Read a label map file and check it against both label tables.

    Raises:
        UsageError: unknown organs, a source used twice, an organ of either side that is not named.
    """
    content = yamlfiles.load(file, LabelMapFile)
    ids = {organ: label for label, organ in source.items() if label != 0}
    targets = {organ: label for label, organ in target.items()}
    problems = _problems(content, ids, targets)
    if problems:
        raise UsageError("\n  ".join([f"{file}: {len(problems)} problem{'s' * (len(problems) > 1)}", *problems]))
    to_target = {ids[s]: targets[t] for t, sources in content.map.items() for s in sources}
    return LabelSpace({label: to_target.get(label, 0) for label in sorted(ids.values())}, dict(content.unavailable))


def remap_labels(labels: NDArray[np.integer], to_target: dict[int, int]) -> LabelMap:
    """Replace every label id by its target id, all at once, so that swaps don't chain.

    Args:
        labels: (X, Y, Z) integer label map; 0 is background.
        to_target: source id -> target id; 0 maps to 0 and need not be named.

    Returns:
        (X, Y, Z) uint8 label map on the same grid, uint16 where a target id is above 255.

    Raises:
        CaseError: the map holds an id that `to_target` does not name. Ids are never dropped in silence: map them to
            0 to discard them.
    """
    highest = int(labels.max(initial=0))
    table = np.full(max(highest, *to_target, 0) + 1, -1, np.int32)
    table[0] = 0
    for source, target in to_target.items():
        table[source] = target
    found = np.flatnonzero(np.bincount(labels.ravel(), minlength=1))
    unknown = [int(i) for i in found if table[i] < 0]
    if unknown:
        raise CaseError(f"label ids must be named in the label map, but these are not: {unknown}")
    kind = np.uint8 if table.max(initial=0) <= np.iinfo(np.uint8).max else np.uint16
    return np.asarray(table.clip(0).astype(kind)[labels])


def _problems(content: LabelMapFile, source: dict[str, int], target: dict[str, int]) -> list[str]:
    """Everything that is wrong with a label map file, one line each."""
    used = [organ for organs in content.map.values() for organ in organs] + content.discard
    named = [*content.map, *content.unavailable]
    return [
        *(f"{o}: the dataset has no such organ; {did_you_mean(o, target)}" for o in named if o not in target),
        *(f"{o}: the generator has no such organ; {did_you_mean(o, source)}" for o in used if o not in source),
        *(f"{o}: a source must go to one target, but it is named twice" for o in _twice(used)),
        *(f"{o}: is both mapped and unavailable" for o in content.map if o in content.unavailable),
        *(f"{o}: organ of the dataset is neither mapped nor unavailable" for o in target if o not in named),
        *(f"{o}: organ of the generator is neither mapped nor discarded" for o in source if o not in used),
    ]  # fmt: skip


def _twice(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
