"""Volumes as nnU-Net takes them: axes in reverse, a channel in front, as its `NibabelIOWithReorient` gives them.

contract  (X, Y, Z) in RAS+, spacing x, y, z      <->      nnU-Net  (1, Z, Y, X), spacing z, y, x
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract import Volume


def image_array(image: Volume) -> NDArray[np.float32]:
    """(1, Z, Y, X) HU of an image."""
    return reverse_axes(image.array).astype(np.float32)[None]


def properties(image: Volume) -> dict[str, Any]:
    """What nnU-Net needs to know of an image beside its voxels."""
    return {"spacing": list(image.spacing_mm[::-1])}


def reverse_axes(array: NDArray[Any]) -> NDArray[Any]:
    """Turn (X, Y, Z) into (Z, Y, X), or back."""
    return array.transpose(2, 1, 0)
