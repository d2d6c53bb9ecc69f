"""Remaps the ids of label maps; an id without a target is an error."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from contract.errors import CaseError
from contract.labelmaps import LabelMap

BLOCK = 32
"""Voxels that are skipped together if all of them are background."""
CHUNK = 1 << 20
"""Voxels that are remapped at a time, so that they stay in the processor's cache; a multiple of BLOCK."""
UNKNOWN = 255
"""Entry of the lookup table for a source id without a target."""


def remap_labels(labels: NDArray[np.integer], to_target: dict[int, int]) -> LabelMap:
    """Replace every label id by its target id. All ids are replaced at once, so that swaps don't chain.

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
    lowest, highest = _id_range(labels)
    fits_bytes = lowest >= 0 and highest <= 255 and max(table.values()) < UNKNOWN
    result = _translate_bytes(labels, table) if fits_bytes else _look_up(labels, table)
    if result is None:
        unknown = [i for i in np.unique(labels).tolist() if i not in table]
        raise CaseError(f"label ids must be named in the label mapping, but these are not: {unknown}")
    return result


def _translate_bytes(labels: NDArray[np.integer], table: Mapping[int, int]) -> LabelMap | None:
    """Remap ids 0..255 to targets 0..254; None if an id has no target.

    Speed matters here: a study remaps every case of every label version. `bytearray.translate` is the fastest lookup of
    bytes in NumPy and the standard library, several times faster than indexing an array. Most of a label map is
    background, so blocks of only 0 are skipped.
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
        remapped = bytearray(flat[chunk].view(f"V{BLOCK}")[filled]).translate(lookup)
        if UNKNOWN in remapped:
            return None
        out[chunk].view(f"V{BLOCK}")[filled] = np.frombuffer(remapped, f"V{BLOCK}")
    rest = flat[whole:].tobytes().translate(lookup)
    if UNKNOWN in rest:
        return None
    out[whole:] = np.frombuffer(rest, np.uint8)
    return out.reshape(ordered.shape).transpose(np.argsort(axes))


def _look_up(labels: NDArray[np.integer], table: Mapping[int, int]) -> LabelMap | None:
    """Remap any ids; None if an id has no target."""
    ids, indices = np.unique(labels, return_inverse=True)
    if any(i not in table for i in ids.tolist()):
        return None
    dtype = np.uint8 if max(table.values()) <= np.iinfo(np.uint8).max else np.uint16
    return np.asarray(np.array([table[i] for i in ids.tolist()], dtype)[indices.reshape(labels.shape)])


def _id_range(labels: NDArray[np.integer]) -> tuple[int, int]:
    """Lowest and highest id; for uint8, the possible ones, without reading the voxels."""
    if labels.dtype == np.uint8:
        return 0, 255
    return int(labels.min(initial=0)), int(labels.max(initial=0))
