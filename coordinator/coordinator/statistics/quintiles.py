"""Quintiles, by which the paper colours each column of Tables 2 and 3 from worst to best."""

from collections.abc import Sequence

import numpy as np


def quintiles(values: Sequence[float | None]) -> list[int | None]:
    """The quintile of each value, 1 (worst) to 5 (best); None where there is no value.

    The limits are the 20th, 40th, 60th and 80th percentile, interpolated linearly. A value on a limit belongs to the
    lower quintile, so that equal values are in the same one. If all values are equal, they are in the middle one.
    """
    known = [value for value in values if value is not None]
    if not known or min(known) == max(known):
        return [None if value is None else 3 for value in values]
    limits = np.percentile(known, [20, 40, 60, 80])
    return [None if v is None else 1 + int((v > limits + 1e-9).sum()) for v in values]
