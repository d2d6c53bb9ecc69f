"""Which organ a pixel belongs to when several masks claim it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 0.5
"""A pixel is inside a mask when its probability is above this, not at it."""


def merge_masks(probabilities: NDArray[np.float32], labels: Sequence[int]) -> NDArray[np.intp]:
    """Merge the masks of a picture: the highest probability wins, the lower label id where two are equal.

    Args:
        probabilities: (B, rows, columns), a mask for each box.
        labels: (B,) label of each box; a label may have several boxes.

    Returns:
        (rows, columns) label ids; 0 where no probability is above one half.
    """
    ids = sorted(set(labels))
    label_of_mask = np.asarray(labels)
    best = np.stack([probabilities[label_of_mask == label].max(axis=0) for label in ids])
    winner = np.asarray(ids)[best.argmax(axis=0)]
    return np.asarray(np.where(best.max(axis=0) > THRESHOLD, winner, 0))
