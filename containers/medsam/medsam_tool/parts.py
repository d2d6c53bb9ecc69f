"""Which parts of the reference labels are large enough for a prompt."""

import numpy as np
from scipy import ndimage

from contract import LabelMap

ANY_NEIGHBOUR = np.ones((3, 3, 3), dtype=bool)


def remove_small_parts(labels: LabelMap, min_volume: int) -> LabelMap:
    """Set connected parts (26 neighbours) of a label that have too few voxels to background.

    Args:
        labels: (X, Y, Z).
        min_volume: parts with fewer voxels are removed; 1 keeps all.

    Returns:
        A new label map; the given one where all are kept.
    """
    if min_volume <= 1:
        return labels
    kept = labels.copy()
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        if box is None:
            continue
        parts, count = ndimage.label(labels[box] == label, structure=ANY_NEIGHBOUR)
        small = np.bincount(parts.ravel(), minlength=count + 1) < min_volume
        small[0] = False
        kept[box][small[parts]] = 0
    return kept
