"""Nine label maps in one: a voxel may be liver to one network, and abdominal cavity and bowel bag to two others.

    over    551, 552, … 559     each over the one before: rectum (556) over colon (553)
    under   559, 557, 556, 553  what holds other structures, the coarsest lowest: cavity (559) under bowel bag (556)

Upstream keeps nine files. Its combined file has the layers above alone, and the thoracic cavity over the lungs.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from contract import LabelMap

HOLDERS = frozenset({
    # of 553, whose parts 557 and 558 tell
    "brain", "face",
    # of 556
    "spinal_canal", "heart", "bowel_bag",
    # of 557, beneath the structures of 558
    "scalp", "eye balls", "compact bone", "spongy bone", "blood", "head muscles",
    # of 559: all but the spinal cord
    "subcutaneous_tissue", "muscle", "abdominal_cavity", "thoracic_cavity", "bones", "glands", "pericardium",
    "breast_implant", "mediastinum",
})  # fmt: skip
"""Structures that hold others, and lie under them."""


def stack(maps: Mapping[int, LabelMap], names: Mapping[int, str]) -> LabelMap:
    """Lay the label maps of networks over each other.

    Args:
        maps: number of a network -> (X, Y, Z) label map in the tool's ids; at least one.
        names: label id -> structure.

    Returns:
        (X, Y, Z) label map.
    """
    numbers = sorted(maps)
    result = np.zeros_like(maps[numbers[0]])
    _paint(result, (maps[n] for n in reversed(numbers)), [i for i, name in names.items() if name in HOLDERS])
    _paint(result, (maps[n] for n in numbers), [i for i, name in names.items() if name not in HOLDERS])
    return result


def _paint(result: LabelMap, maps: Iterable[LabelMap], labels: list[int]) -> None:
    """Write these labels of each map over the result."""
    chosen = np.zeros(256, np.uint8)
    chosen[labels] = labels
    for found in maps:
        painted = chosen[found]
        np.copyto(result, painted, where=painted > 0)
