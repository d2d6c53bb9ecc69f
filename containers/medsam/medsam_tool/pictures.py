"""Axial slices as pictures: how a slice is turned for the network, and which part of it is shown.

slice    (X, Y): x grows to the patient's right, y to the front (RAS+)
picture  (rows, columns): as a radiologist sees it, anterior on top and the patient's right on the left side
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from contract import LabelMap

Rectangle = tuple[slice, slice]
"""Part of a slice: x range, y range."""
Value = TypeVar("Value", bound=np.generic)

ANY_NEIGHBOUR = np.ones((3, 3), dtype=bool)
BODY_ABOVE_HU = -300.0
"""Between fat (about -100) and air; the lungs lie inside the body's rectangle anyway."""


def to_picture(plane: NDArray[Value]) -> NDArray[Value]:
    """Turn an (X, Y) slice into a (rows, columns) picture; a view, no copy."""
    return plane[::-1, ::-1].T


def from_picture(picture: NDArray[Value]) -> NDArray[Value]:
    """Undo `to_picture`."""
    return picture.T[::-1, ::-1]


def body_rectangle(hu: NDArray[np.generic], labels: LabelMap) -> Rectangle:
    """Smallest rectangle around the body, so that fewer of the network's pixels show air.

    The body is the largest connected part above `BODY_ABOVE_HU`, after an opening that removes thin things such as the
    table's shell. Labels outside are included, so a prompt never falls outside the picture.

    Args:
        hu: (X, Y) slice in HU.
        labels: (X, Y) labels that prompts are made from.

    Returns:
        x range and y range; the whole slice where there is no body.
    """
    parts, count = ndimage.label(ndimage.binary_opening(np.greater(hu, BODY_ABOVE_HU), structure=ANY_NEIGHBOUR))
    if count == 0:
        return slice(0, hu.shape[0]), slice(0, hu.shape[1])
    largest = 1 + int(np.bincount(parts.ravel())[1:].argmax())
    shown = (parts == largest) | (labels > 0)
    return _span(shown.any(axis=1)), _span(shown.any(axis=0))


def _span(line: NDArray[np.bool_]) -> slice:
    """From the first to the last true value of a line that has one."""
    (indices,) = np.nonzero(line)
    return slice(int(indices[0]), int(indices[-1]) + 1)
