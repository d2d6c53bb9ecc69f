"""Quintiles, by which the paper colours Tables 2 and 3: a column and a metric at a time, from worst to best."""

from collections.abc import Sequence

import numpy as np


def quintiles(values: Sequence[float | None]) -> list[int | None]:
    """The fifth that each value falls in, 1 (worst) to 5 (best); None where there is no value.

    The limits are the 20th, 40th, 60th and 80th percentile, interpolated linearly; a value on a limit belongs to the
    lower fifth, so that equal values are always in the same one. Values that are all equal are in the middle one.
    """
    there = [value for value in values if value is not None]
    if not there or min(there) == max(there):
        return [None if value is None else 3 for value in values]
    limits = np.percentile(there, [20, 40, 60, 80])
    return [None if v is None else 1 + int((v > limits + 1e-9).sum()) for v in values]
