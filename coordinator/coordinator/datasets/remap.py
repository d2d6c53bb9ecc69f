"""Label maps in other ids: every voxel's id is replaced at once, and no id is dropped in silence."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from contract.errors import CaseError
from contract.labelmaps import LabelMap

BLOCK = 32
"""Voxels that are looked at, or skipped as background, together."""


CHUNK = 1 << 20
"""Voxels that are worked on at a time, so that they stay in the processor's cache; a multiple of BLOCK."""


UNKNOWN = 255
"""In a table of bytes: the source id is not named."""


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
    table = {**to_target, 0: 0}
    lowest, highest = _range(labels)
    fits_bytes = lowest >= 0 and highest <= 255 and max(table.values()) < UNKNOWN
    result = _translated(labels, table) if fits_bytes else _looked_up(labels, table)
    if result is None:
        unknown = [i for i in np.unique(labels).tolist() if i not in table]
        raise CaseError(f"label ids must be named in the label map, but these are not: {unknown}")
    return result


def _translated(labels: NDArray[np.integer], table: Mapping[int, int]) -> LabelMap | None:
    """Remap ids 0..255 to targets 0..254; None where an id is not named.

    Speed matters here: a study remaps every case of every version. `bytearray.translate` is the fastest lookup of bytes
    that NumPy and the standard library have, several times faster than an array as index; and most of a label map is
    background, so blocks of nothing but 0 are skipped.
    """
    lookup = bytes(table.get(i, UNKNOWN) for i in range(256))
    axes = np.argsort([-abs(stride) for stride in labels.strides], kind="stable")
    ordered = labels.transpose(axes)
    flat = np.ascontiguousarray(ordered, np.uint8).reshape(-1)
    out = np.zeros(flat.size, np.uint8)
    whole = flat.size - flat.size % BLOCK
    for start in range(0, whole, CHUNK):
        chunk = slice(start, min(start + CHUNK, whole))
        words = flat[chunk].view(np.uint64)
        filled = (words != 0).view(np.uint32) != 0  # four words are one block
        found = bytearray(flat[chunk].view(f"V{BLOCK}")[filled]).translate(lookup)
        if UNKNOWN in found:
            return None
        out[chunk].view(f"V{BLOCK}")[filled] = np.frombuffer(found, f"V{BLOCK}")
    rest = flat[whole:].tobytes().translate(lookup)
    if UNKNOWN in rest:
        return None
    out[whole:] = np.frombuffer(rest, np.uint8)
    return out.reshape(ordered.shape).transpose(np.argsort(axes))


def _looked_up(labels: NDArray[np.integer], table: Mapping[int, int]) -> LabelMap | None:
    """Remap any ids; None where one is not named."""
    found, where = np.unique(labels, return_inverse=True)
    if any(i not in table for i in found.tolist()):
        return None
    kind = np.uint8 if max(table.values()) <= np.iinfo(np.uint8).max else np.uint16
    return np.asarray(np.array([table[i] for i in found.tolist()], kind)[where.reshape(labels.shape)])


def _range(labels: NDArray[np.integer]) -> tuple[int, int]:
    """Lowest and highest id; of bytes, those that are possible, without looking."""
    if labels.dtype == np.uint8:
        return 0, 255
    return int(labels.min(initial=0)), int(labels.max(initial=0))
