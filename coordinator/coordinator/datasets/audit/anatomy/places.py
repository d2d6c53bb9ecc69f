"""Where organs usually lie, relative to the other organs of a case: the cases moved onto each other, and the rest.

centroids (cases, organs, 3) ──► typical place of each organ, and place of each case, by medians in turn
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coordinator.datasets.audit.anatomy.organmeasures import CaseOrgans, OrganMeasures
from coordinator.datasets.audit.robust import NORMAL

ROUNDS = 8
"""Medians converge in four to six."""
LEAST_LANDMARKS = 3
"""Organs that tell where a case lies; of two, nobody knows which one is misplaced."""
LEAST_SPREAD_MM = 8.0
"""Standard deviation of an organ's place relative to the others that is assumed at the least: breathing and bowel gas
move abdominal organs by 5 to 15 mm."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Atlas:
    """Where the organs of a dataset lie.

    Attributes:
        cases: names of the cases.
        labels: ids of the organs.
        offsets_mm: (cases, 3) of each case; NaN where too few organs tell.
        typical_mm: (organs, 3) place of each organ in a case of offset 0; NaN where no case shows it.
        spread_mm: (organs, 3) robust standard deviation of it.
        residuals_mm: (cases, organs, 3) of each organ from its typical place; NaN where it is absent or cut.
    """

    cases: tuple[str, ...]
    labels: tuple[int, ...]
    offsets_mm: Floats
    typical_mm: Floats
    spread_mm: Floats
    residuals_mm: Floats


def build_atlas(measures: Mapping[str, CaseOrgans], labels: Mapping[int, str]) -> Atlas:
    """Move the cases onto each other, by translation alone.

    A coordinate of an organ counts where the image's border does not cut the organ along it.
    """
    points = np.full((len(measures), len(labels), 3), np.nan)
    index = {label: i for i, label in enumerate(labels)}
    for row, found in enumerate(measures.values()):
        for measured in found.organs:
            points[row, index[measured.label]] = _list_known(measured)
    offsets = np.zeros((len(measures), 3))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice encountered", RuntimeWarning)
        for _ in range(ROUNDS):
            typical = np.nanmedian(points - offsets[:, None], axis=0)
            offsets = offsets + np.nan_to_num(np.nanmedian(points - offsets[:, None] - typical, axis=1))
        typical = np.nanmedian(points - offsets[:, None], axis=0)
        residuals = points - offsets[:, None] - typical
        spread = np.maximum(NORMAL * np.nanmedian(np.abs(residuals), axis=0), LEAST_SPREAD_MM)
    few = np.isfinite(residuals).sum(axis=1) < LEAST_LANDMARKS
    return Atlas(tuple(measures), tuple(labels), np.where(few, np.nan, offsets), typical, spread, residuals)


def _list_known(measured: OrganMeasures) -> list[float]:
    """Centroid of an organ; NaN along the axes on which the image cuts it."""
    border = measured.border_mm2
    cut = [border[2 * axis] > 0 or border[2 * axis + 1] > 0 for axis in range(3)]
    return [np.nan if is_cut else mm for mm, is_cut in zip(measured.centroid_mm, cut, strict=True)]
