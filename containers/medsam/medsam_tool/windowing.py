"""From HU to the grey values that MedSAM was trained on."""

import numpy as np
from numpy.typing import NDArray

GREY_MAX = 255


def apply_window(hu: NDArray[np.generic], level_hu: float, width_hu: float) -> NDArray[np.uint8]:
    """Clip to a CT window and scale to whole grey values, rounding down as MedSAM's preparation does.

    Args:
        hu: voxels of any shape, in HU.
        level_hu: centre of the window.
        width_hu: width of the window, above 0.

    Returns:
        uint8 of the same shape: 0 at and below the window's lower end, 255 at and above its upper end.
    """
    lowest = level_hu - width_hu / 2
    clipped = np.clip(hu.astype(np.float64), lowest, lowest + width_hu)
    return np.asarray((clipped - lowest) / width_hu * GREY_MAX, dtype=np.uint8)
