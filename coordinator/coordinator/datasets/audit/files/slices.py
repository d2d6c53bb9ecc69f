"""Slices of an image that are there twice, missing, in a wrong order, blank, or of another scan.

image ──► each slice coarsely ──► differences between slices 1, 2 and many apart, and digests ──► measures
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from contract.volumes import Volume
from coordinator.datasets.audit.findings import Finding, Place, Weight

LINES = 64
"""A slice is looked at in squares, at least so many along each of its axes; their means have less noise than voxels."""
LOW_HU, HIGH_HU = -1000, 400
"""Clipped to these: metal and padding would outweigh the body."""
LEAST_VALUES = 16
"""Distinct values of a slice; one with fewer, such as one of padding, is blank and equals others by right."""
JUMP = 1.7
"""Times the greatest of the two differences on each side. Sound scans reach 1.25, of thin and thick slices, thorax
and abdomen; where 5 slices are missing nearly all exceed it, where 1 is missing few do."""
STRANGE = 1.3
"""Times the difference between a slice's neighbours, by which it differs from both. Sound samples have 0.7."""
SMOOTH = 5
"""Squares along each axis whose mean is taken where the order is judged, so that noise is not taken for disorder."""
MOST_STRANGE = 0.1
"""Share of the slices; where more are strange, the order is."""
FEWEST_IN_ORDER = 12
"""Slices without which a third of the scan is too near to be another place."""
NO_NEARER, HARDLY_NEARER = 0.72, 0.52
"""Difference between neighbours, as a part of that between next neighbours, and of that between slices a third of the
scan apart. Seven samples and phantoms have at most 0.64 and 0.37, each of them shuffled in 30 ways at least 0.78 and
0.66; these are the middles."""

Planes = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SliceMeasures:
    """The slices of an image, numbered along `axis` of its RAS+ array.

    Attributes:
        axis: along which slices follow each other: the one of by far the greatest spacing, else from feet to head.
        shape: (X, Y, Z) voxels.
        repeated: slices with the same voxels, in pairs of the first and a later one.
        blank: slices without an image.
        jumps: the slice before each place where slices seem to be missing, and how many times the usual difference.
        strange: slices that differ from both neighbours, which are alike, and how many times more.
        lag_ratios: mean difference between neighbours, as a part of that between next neighbours, and of that
            between slices a third of the scan apart; None for too few slices.
    """

    axis: int
    shape: tuple[int, int, int]
    repeated: tuple[tuple[int, int], ...]
    blank: tuple[int, ...]
    jumps: tuple[tuple[int, float], ...]
    strange: tuple[tuple[int, float], ...]
    lag_ratios: tuple[float, float] | None


def measure_slices(image: Volume) -> SliceMeasures:
    """Compare the slices of an image with each other.

    Args:
        image: (X, Y, Z) finite voxels in HU.
    """
    axis = _choose_axis(image.spacing_mm)
    slices = np.moveaxis(image.array, axis, 0)
    steps = [max(1, length // LINES) for length in slices.shape[1:]]
    digests = [_digest_slice(plane) for plane in np.ascontiguousarray(slices[:, :: steps[0], :: steps[1]])]
    blank = {index for index, digest in enumerate(digests) if digest is None}
    repeated, planes, shape = _pair_equal(digests), _coarsen(slices), image.grid.shape
    strange = _find_strange(planes, blank)
    few = {index for index, _ in strange} if len(strange) <= max(1, MOST_STRANGE * len(planes)) else set()
    in_order = [index for index in range(len(planes)) if index not in blank | few]
    return SliceMeasures(
        axis=axis,
        shape=shape,
        repeated=repeated,
        blank=tuple(sorted(blank)),
        jumps=_find_jumps(planes, blank, {later for _, later in repeated}),
        strange=strange,
        lag_ratios=_measure_lags(planes[in_order]),
    )


def judge_slices(measures: Mapping[str, SliceMeasures]) -> list[Finding]:
    """Findings about the slices of each case."""
    findings = []
    for case, of_case in measures.items():
        findings += _judge_case(case, of_case)
    return findings


def _choose_axis(spacing_mm: tuple[float, float, float]) -> int:
    thickest = int(np.argmax(spacing_mm))
    return thickest if spacing_mm[thickest] > 1.5 * sorted(spacing_mm)[1] else 2


def _digest_slice(sampled: NDArray[np.generic]) -> bytes | None:
    """Digest of a slice's voxels on a lattice; None for a blank one."""
    if np.unique(sampled).size < min(LEAST_VALUES, sampled.size // 2):
        return None
    return hashlib.blake2b(sampled.tobytes(), digest_size=16).digest()


def _pair_equal(digests: list[bytes | None]) -> tuple[tuple[int, int], ...]:
    places: dict[bytes, list[int]] = defaultdict(list)
    for index, digest in enumerate(digests):
        if digest is not None:
            places[digest].append(index)
    return tuple(sorted((same[0], later) for same in places.values() for later in same[1:]))


def _coarsen(slices: NDArray[np.generic]) -> Planes:
    """(slices, about `LINES`, about `LINES`) means of squares, HU."""
    sizes = [max(1, length // LINES) for length in slices.shape[1:]]
    rows, columns = (length // size for length, size in zip(slices.shape[1:], sizes, strict=True))
    planes = np.empty((len(slices), rows, columns), np.float32)
    for row in range(rows):  # in the order in which the voxels lie in memory
        block = slices[:, row * sizes[0] : (row + 1) * sizes[0], : columns * sizes[1]]
        lines = np.clip(block, LOW_HU, HIGH_HU).mean(axis=1, dtype=np.float32)
        planes[:, row] = lines.reshape(len(slices), columns, sizes[1]).mean(axis=2)
    return planes


def _compare(planes: Planes, apart: int) -> NDArray[np.float64]:
    """Mean absolute difference between each slice and the one so many further, HU."""
    return np.array([np.abs(a - b).mean() for a, b in zip(planes, planes[apart:], strict=False)], np.float64)


def _find_jumps(planes: Planes, blank: set[int], repeated: set[int]) -> tuple[tuple[int, float], ...]:
    """Steps between slices that are far greater than those around; a slice that is there twice makes one by right."""
    steps = _compare(planes, 1)
    jumps = []
    for k in range(2, len(steps) - 2):
        around = max(steps[[k - 2, k - 1, k + 1, k + 2]])
        is_sound = not blank.intersection(range(k - 2, k + 4)) and not repeated.intersection((k, k + 1))
        if is_sound and around > 0 and steps[k] > JUMP * around:
            jumps.append((k, float(steps[k] / around)))
    return tuple(jumps)


def _find_strange(planes: Planes, blank: set[int]) -> tuple[tuple[int, float], ...]:
    steps, next_steps = _compare(planes, 1), _compare(planes, 2)
    strange = []
    for k in range(1, len(planes) - 1):
        between, least = next_steps[k - 1], min(steps[k - 1], steps[k])
        if not blank.intersection(range(k - 1, k + 2)) and least > STRANGE * between:
            strange.append((k, float(least / between) if between > 0 else float(least)))
    return tuple(strange)


def _measure_lags(planes: Planes) -> tuple[float, float] | None:
    if len(planes) < FEWEST_IN_ORDER:
        return None
    smooth = uniform_filter(planes, (1, SMOOTH, SMOOTH))
    near, next_near, far = (float(_compare(smooth, lag).mean()) for lag in (1, 2, len(planes) // 3))
    return (near / next_near, near / far) if next_near and far else None


def _judge_case(case: str, of_case: SliceMeasures) -> list[Finding]:
    findings = []
    if of_case.repeated:
        first, later = of_case.repeated[0]
        text = f"{_count(len(of_case.repeated))} there twice, such as slice {first} again as slice {later}"
        advice = "convert the scan again from its DICOM files, after a look for doubled slices"
        findings.append(_point("doubled-slices", Weight.WRONG, (text, advice), case, of_case, later))
    if _is_shuffled(of_case):
        text = "slices are not in order: neighbours are no more alike than others"
        advice = "convert the scan again, with its slices sorted by position"
        findings.append(_point("slices-out-of-order", Weight.WRONG, (text, advice), case, of_case, 0))
    elif of_case.jumps:
        before, times = max(of_case.jumps, key=lambda jump: jump[1])
        text = f"slices seem to be missing after slice {before}: the step is {times:.1f} times as great as those around"
        advice = "compare the number of slices with the DICOM files, and convert the scan again"
        findings.append(_point("missing-slices", Weight.SUSPECT, (text, advice), case, of_case, before))
    if of_case.strange and not _is_shuffled(of_case):
        index, times = max(of_case.strange, key=lambda one: one[1])
        text = f"slice {index} is unlike both neighbours, which are alike ({times:.1f} times)"
        advice = "look at it: it may be corrupt, or of another scan"
        findings.append(_point("strange-slice", Weight.SUSPECT, (text, advice), case, of_case, index))
    if of_case.blank and len(of_case.blank) < of_case.shape[of_case.axis]:
        is_inside = set(of_case.blank) != _count_ends(of_case)
        text = f"{_count(len(of_case.blank))} without an image, such as slice {of_case.blank[0]}"
        advice = "crop them, and look whether the labels go on there"
        weight = Weight.SUSPECT if is_inside else Weight.ODD
        findings.append(_point("blank-slices", weight, (text, advice), case, of_case, of_case.blank[0]))
    return findings


def _count(slices: int) -> str:
    return "1 slice is" if slices == 1 else f"{slices} slices are"


def _is_shuffled(of_case: SliceMeasures) -> bool:
    ratios = of_case.lag_ratios
    return ratios is not None and ratios[0] > NO_NEARER and ratios[1] > HARDLY_NEARER


def _count_ends(of_case: SliceMeasures) -> set[int]:
    """Blank slices that follow each other from the first or the last on."""
    last, ends = of_case.shape[of_case.axis] - 1, set()
    for start, step in ((0, 1), (last, -1)):
        index = start
        while index in of_case.blank:
            ends.add(index)
            index += step
    return ends


def _point(kind: str, weight: Weight, words: tuple[str, str], case: str, of_case: SliceMeasures, index: int) -> Finding:
    """A finding with the middle of a slice as its place, and how many slices it is about as its number."""
    x, y, z = (index if axis == of_case.axis else n // 2 for axis, n in enumerate(of_case.shape))
    numbers = {
        "doubled-slices": len(of_case.repeated),
        "slices-out-of-order": of_case.shape[of_case.axis],
        "missing-slices": max((times for _, times in of_case.jumps), default=0.0),
        "strange-slice": max((times for _, times in of_case.strange), default=0.0),
        "blank-slices": len(of_case.blank),
    }
    unit = "times" if kind in ("missing-slices", "strange-slice") else "slices"
    place = Place((x, y, z), of_case.axis)
    return Finding(kind, weight, *words, case=case, number=float(numbers[kind]), unit=unit, place=place)
