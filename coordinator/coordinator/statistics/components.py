"""Do scores vary more by column than by row? Variance components of a table of networks.

Columns are the datasets that networks were pre-trained on, rows the label versions, cells the networks' scores on the
same cases. Each variance is that of means, less the noise in them:

    between columns    of column means - noise of cases - (columns x rows) / number of rows
    between rows       of row means    - noise of cases - (columns x rows) / number of columns

where columns x rows is the variance that neither means of columns nor of rows explain: the two acting together, seeds.
Cases and noise are taken as normal. So are the effects of columns and of rows, as far as other datasets and label
versions are concerned; that these columns vary more than these rows is shown at the same level whatever they are like.

The test is Fisher's of two variances, where the noise of row means is the larger one. Where that of column means is, it
would take this noise for a difference between columns. So the p-value is the generalised one of Weerahandi (1987) then:
the share of all variances in question, drawn as chi-square distributions say, that are no larger between columns.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtr, chdtri

Floats = NDArray[np.float64]

DRAWS = 4000
KEY = 20_250_929
"""Of the draws, so that the same scores have the same p-value."""


@dataclass(frozen=True, slots=True)
class Components:
    """How much scores vary between columns and between rows.

    Attributes:
        columns_std: standard deviation between columns, in units of the score; 0 where noise explains all of it.
        rows_std: standard deviation between rows, likewise.
        p_columns: one-sided p-value of "columns vary more than rows".
    """

    columns_std: float
    rows_std: float
    p_columns: float


@dataclass(frozen=True, slots=True)
class _Squares:
    """A variance and its degrees of freedom."""

    variance: float
    freedom: int


def compare_components(scores: Floats) -> Components | None:
    """Compare the variance between columns with that between rows.

    Args:
        scores: (columns, rows, cases), without gaps; see `complete_part`. Means over seeds. Of a table of means, there
            is one "case", and the result holds for the cases behind these means only.

    Returns:
        The components; None for fewer than two columns or rows.
    """
    if min(scores.shape[:2]) < 2:
        return None
    between = [_between(scores, axis) for axis in (0, 1)]
    parts = _noise_parts(scores)
    noise = [sum(weight * part.variance for weight, part in of_axis) for of_axis in parts]
    stds = [max(b.variance - n, 0.0) ** 0.5 for b, n in zip(between, noise, strict=True)]
    return Components(stds[0], stds[1], _p_columns(between[0], between[1], parts))


def complete_part(present: NDArray[np.bool_]) -> tuple[list[int], list[int]]:
    """The columns and rows that are left when those with the largest share of gaps are dropped, one after the other.

    Args:
        present: (columns, rows) whether a cell has a score.

    Returns:
        Indices of columns, and of rows; of equals the last row is dropped first.
    """
    columns, rows = list(range(present.shape[0])), list(range(present.shape[1]))
    while columns and rows and not present[np.ix_(columns, rows)].all():
        gaps = ~present[np.ix_(columns, rows)]
        of_columns, of_rows = gaps.mean(axis=1), gaps.mean(axis=0)
        if of_rows.max() >= of_columns.max():
            rows.pop(len(rows) - 1 - int(of_rows[::-1].argmax()))
        else:
            columns.pop(len(columns) - 1 - int(of_columns[::-1].argmax()))
    return columns, rows


def _between(scores: Floats, axis: int) -> _Squares:
    """Variance of the means of columns (axis 0) or rows (axis 1)."""
    means = scores.mean(axis=(1 - axis, 2))
    return _Squares(float(means.var(ddof=1)), len(means) - 1)


def _noise_parts(scores: Floats) -> list[list[tuple[float, _Squares]]]:
    """The noise in the means of columns and in those of rows, each a sum of weighted variances."""
    columns, rows, cases = scores.shape
    cells = _remainder(scores.mean(axis=2))
    if cases == 1:
        return [[(1 / rows, cells)], [(1 / columns, cells)]]
    # The remainder of cells holds some noise of cases, which that of column and row means holds already.
    both = _per_mean(_remainder(scores), cases)
    of_columns, of_rows = (_per_mean(_remainder(scores.mean(axis=axis)), cases) for axis in (1, 0))
    return [
        [(1.0, of_columns), (1 / rows, cells), (-1 / rows, both)],
        [(1.0, of_rows), (1 / columns, cells), (-1 / columns, both)],
    ]


def _remainder(values: Floats) -> _Squares:
    """Variance of what the means along each axis do not explain."""
    rest = values
    for axis in range(values.ndim):
        rest = rest - rest.mean(axis=axis, keepdims=True)
    freedom = int(np.prod([n - 1 for n in values.shape]))
    return _Squares(float((rest**2).sum()) / freedom, freedom)


def _per_mean(squares: _Squares, cases: int) -> _Squares:
    return _Squares(squares.variance / cases, squares.freedom)


def _p_columns(columns: _Squares, rows: _Squares, parts: list[list[tuple[float, _Squares]]]) -> float:
    """P-value of "columns vary more than rows". The variance of rows need not be drawn: its distribution is known."""
    drawn: dict[_Squares, Floats] = {}
    for part in (part for of_axis in parts for _, part in of_axis):
        drawn.setdefault(part, part.variance / _relative_variances(part.freedom)[_order(len(drawn))])
    of_columns, of_rows = (sum(weight * drawn[part] for weight, part in of_axis) for of_axis in parts)
    excess = np.maximum(of_columns - of_rows, 0.0)
    least = columns.variance / _relative_variances(columns.freedom) - excess
    if rows.variance == 0:
        return float((least <= 0).mean())
    with np.errstate(divide="ignore"):
        squares = np.where(least > 0, rows.variance * rows.freedom / least, np.inf)
    return float(chdtr(rows.freedom, squares).mean())


@lru_cache(maxsize=64)
def _relative_variances(freedom: int) -> Floats:
    """(draws,) equally likely values of an estimated variance, relative to the true one."""
    return np.asarray(chdtri(freedom, (np.arange(DRAWS) + 0.5) / DRAWS) / freedom)


@lru_cache(maxsize=16)
def _order(number: int) -> NDArray[np.intp]:
    """(draws,) a random order, so that draws of several variances are independent."""
    return np.random.Generator(np.random.Philox(key=[KEY, number])).permutation(DRAWS)
