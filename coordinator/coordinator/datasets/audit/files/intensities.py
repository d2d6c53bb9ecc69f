"""Whether an image holds HU, and what was done to it where it doesn't.

voxels ──► sample ──► padding, range, values that occur far too often, tissue ──► measures of a case
measures ──► constant | normalised | grey picture | HU after undoing one change | windowed | filled | as it should be
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contract.volumes import Volume
from coordinator.datasets.audit.files.changes import CHANGES, LUNG_HU, MEDIAN_HU, Values, find_change
from coordinator.datasets.audit.findings import Finding, Weight
from coordinator.datasets.hounsfield import (
    AIR_HU,
    BODY_HU,
    BONE_HU,
    describe_unlike_hu,
    find_padding,
    sample_voxels,
)

AIR_HU_RANGE = (-1100, -800)
"""Where the median of what lies below `LUNG_HU` is: air at -1000, lungs at -850."""
NORMALISED_SPAN = 20
"""From the lowest to the highest voxel; the noise of a CT alone spans more."""
GREYS = 255
"""The highest grey value of an 8-bit picture."""
NEAR = 2
"""Distinct values on each side with which a value is compared."""
OFTEN = 10
"""Times the greatest count of the values nearby. A histogram of a CT has no such step, not even where it was rounded to
8 bits: in the samples no value but air, padding and bounds reaches 3."""
LEAST_SPIKE, FEWEST_ON_BOUND = 0.0002, 20
"""Share and number of the sample's voxels on a clipping bound; where they are fewer, nothing was lost."""
LEAST_FILL = 0.01
"""Share of the voxels that are filled with one value, from which on it is a region and no accident."""
AIR_UP_TO = -900
"""A clipping bound below it cuts only air; one value up to here may well be air."""
DENSE_BONE, SCANNERS_LIMIT = 1000, 3000
"""A clipping bound from the first on cuts dense bone and metal alone; scanners themselves clip at 3071 and above, the
end of 12 bits."""
MOST_GREYS, WIDE_SPAN = 256, 600
"""So few distinct values over so many HU are those of 8 bits; the samples have 1,600 to 3,500."""
ENOUGH = 20_000
"""Voxels in which more than `MOST_GREYS` values would be seen."""


@dataclass(frozen=True, slots=True)
class IntensityMeasures:
    """The voxels of an image, from an even sample of them.

    Attributes:
        lowest: HU, without padding.
        highest: HU.
        padding: values below any HU that fill what the scanner did not see.
        padding_share: of the voxels.
        low_spike: share of the voxels that have exactly the lowest value, where that is far more than of the next ones.
        high_spike: likewise of the highest value.
        filled_with: value between `AIR_UP_TO` and `BONE_HU` that a region is filled with; None where there is none.
        filled_share: of the voxels.
        distinct: grey values, rounded to whole HU.
        voxels: of the sample.
        body_median: of the voxels above `BODY_HU` and above the lowest; None where there are none.
        air_median: of the voxels below `LUNG_HU`; None where there are none.
        unlike_hu: why they can't be HU; empty where they can.
        undone_by: name in `CHANGES` of the change that must be undone to have HU; empty where there is none.
        stored_bytes: of a stored number.
    """

    lowest: float
    highest: float
    padding: tuple[float, ...]
    padding_share: float
    low_spike: float
    high_spike: float
    filled_with: float | None
    filled_share: float
    distinct: int
    voxels: int
    body_median: float | None
    air_median: float | None
    unlike_hu: str
    undone_by: str
    stored_bytes: int


def measure_intensities(image: Volume) -> IntensityMeasures:
    """Measure the voxels of an image.

    Args:
        image: (X, Y, Z) finite voxels.
    """
    exact = sample_voxels(image.array)
    values = np.rint(exact)
    padding = find_padding(values)
    is_padding = np.isin(values, padding)
    kept = exact[~is_padding]
    kept = kept if kept.size else exact
    distinct, counts = np.unique(np.rint(kept), return_counts=True)
    unlike = describe_unlike_hu(np.rint(kept))
    filled_with, filled_share = _find_filling(distinct, counts, exact.size)
    return IntensityMeasures(
        lowest=float(kept.min()),
        highest=float(kept.max()),
        padding=tuple(padding),
        padding_share=float(is_padding.mean()),
        low_spike=_measure_spike(counts, exact.size),
        high_spike=_measure_spike(counts[::-1], exact.size),
        filled_with=filled_with,
        filled_share=filled_share,
        distinct=distinct.size,
        voxels=exact.size,
        body_median=_median(kept[(kept > BODY_HU) & (kept > kept.min())]),
        air_median=_median(kept[kept < LUNG_HU]),
        unlike_hu=unlike,
        undone_by=find_change(values, unlike_hu=bool(unlike)),
        stored_bytes=image.header.get_data_dtype().itemsize,
    )


def judge_intensities(measures: Mapping[str, IntensityMeasures]) -> list[Finding]:
    """Findings about the voxels of each case: at most one about the scale, and those about what else was done."""
    findings = []
    for case, of_case in measures.items():
        judged = _judge_scale(case, of_case)
        if judged is None:
            findings += _judge_bounds(case, of_case)
        else:
            findings.append(judged)
        findings += _judge_greys(case, of_case)
        if judged is None or judged.weight == Weight.ODD:
            findings += _judge_padding(case, of_case)
    return findings


def _median(values: Values) -> float | None:
    return float(np.median(values)) if values.size else None


def _measure_spike(counts: NDArray[np.intp], voxels: int) -> float:
    """Share of the first of these values where it is a spike, else 0.

    Args:
        counts: of the distinct values, from one end.
        voxels: of the sample.
    """
    near = counts[1 : 1 + NEAR]
    least = max(FEWEST_ON_BOUND, LEAST_SPIKE * voxels)
    is_spike = near.size > 0 and counts[0] >= least and counts[0] > OFTEN * near.max()
    return float(counts[0] / voxels) if is_spike else 0.0


def _find_filling(distinct: Values, counts: NDArray[np.intp], voxels: int) -> tuple[float | None, float]:
    """The value that a region is filled with, and its share; of several the most frequent."""
    candidates = np.flatnonzero(
        (distinct > AIR_UP_TO) & (distinct < BONE_HU) & (counts >= LEAST_FILL * voxels)
        & (distinct > distinct[0]) & (distinct < distinct[-1])
    )  # fmt: skip
    filled = []
    for index in candidates:
        near = np.concatenate([counts[max(0, index - NEAR) : index], counts[index + 1 : index + 1 + NEAR]])
        if counts[index] > OFTEN * near.max():
            filled.append((int(counts[index]), float(distinct[index])))
    if not filled:
        return None, 0.0
    count, value = max(filled)
    return value, count / voxels


def _judge_scale(case: str, of_case: IntensityMeasures) -> Finding | None:
    """What is wrong with the scale of the voxels; None where they are HU."""
    lowest, highest = of_case.lowest, of_case.highest
    span = f"voxels lie in {lowest:.6g} to {highest:.6g}"
    if lowest == highest:
        return _blame(case, "constant-image", f"all voxels are {lowest:g}", "copy or convert the image again", 0.0)
    if highest - lowest <= NORMALISED_SPAN:
        advice = "take the image before it was normalised: HU can't be restored without its mean and range"
        return _blame(case, "hu-normalised", f"intensities are normalised, not HU: {span}", advice, highest - lowest)
    if lowest >= 0 and highest <= GREYS:
        advice = "convert the scan again from its DICOM files: HU can't be restored from a picture"
        return _blame(case, "grey-picture", f"voxels are grey values of a picture, not HU: {span}", advice, highest)
    if of_case.undone_by:
        change = CHANGES[of_case.undone_by]
        return _blame(case, change.kind, f"voxels are HU that are {change.text}: {span}", change.advice, highest)
    return _judge_unlike(case, of_case, span) if of_case.unlike_hu and not _is_windowed(of_case) else None


def _judge_unlike(case: str, of_case: IntensityMeasures, span: str) -> Finding:
    """The finding on voxels that don't look like HU, for a reason that isn't known."""
    air = of_case.air_median
    if of_case.lowest >= AIR_HU and _has_tissue(of_case):
        text = f"no voxel is air: {span}, so the scale can't be checked"
        advice = "nothing, where the image was cropped to within the body"
    elif _has_tissue(of_case) and air is not None and AIR_HU_RANGE[0] <= air <= AIR_HU_RANGE[1]:
        text = f"air and tissue are in their places, but {of_case.unlike_hu}"
        advice = "look at it: it is very noisy, or its padding was interpolated"
        return Finding("below-air", Weight.ODD, text, advice, case=case, number=of_case.lowest, unit="HU")
    else:
        advice = "find out what the voxels are, and convert them to HU or exclude the case"
        return _blame(case, "not-hu", f"voxels are not in HU: {of_case.unlike_hu}", advice, of_case.highest)
    return Finding("no-air", Weight.ODD, text, advice, case=case, number=of_case.lowest, unit="HU")


def _has_tissue(of_case: IntensityMeasures) -> bool:
    """Whether the median of the body is where tissue is in HU."""
    median = of_case.body_median
    return median is not None and MEDIAN_HU[0] <= median <= MEDIAN_HU[1]


def _is_windowed(of_case: IntensityMeasures) -> bool:
    """Whether tissue is where it is in HU, but what is below or above was clipped."""
    is_low = of_case.low_spike >= LEAST_FILL and of_case.lowest > AIR_UP_TO
    is_high = of_case.high_spike > 0 and of_case.highest < DENSE_BONE
    return _has_tissue(of_case) and (is_low or is_high)


def _judge_bounds(case: str, of_case: IntensityMeasures) -> list[Finding]:
    """Findings about HU that were clipped, or replaced by one value."""
    findings = []
    share = of_case.low_spike + of_case.high_spike
    bounds = f"{of_case.lowest:g} to {of_case.highest:g} HU"
    if _is_windowed(of_case):
        text = f"voxels were clipped to {bounds}; {share:.1%} of them lie on a bound"
        advice = "take the image before it was clipped: what lies beyond the bounds is lost"
        findings.append(Finding("hu-windowed", Weight.SUSPECT, text, advice, case=case, number=100 * share, unit="%"))
    elif of_case.high_spike and DENSE_BONE <= of_case.highest < SCANNERS_LIMIT:
        text = f"voxels were clipped at {of_case.highest:g} HU: {of_case.high_spike:.2%} of them have this value"
        advice = "compare with the other cases; dense bone and metal can't be told apart"
        findings.append(
            Finding("hu-clipped", Weight.ODD, text, advice, case=case, number=100 * of_case.high_spike, unit="%")
        )
    if of_case.filled_with is not None:
        text = f"{of_case.filled_share:.0%} of the voxels are exactly {of_case.filled_with:g} HU, as a filled region is"
        advice = "look for a region without image; fill it with -1024, or crop it"
        findings.append(
            Finding(
                "filled-region", Weight.SUSPECT, text, advice, case=case, number=100 * of_case.filled_share, unit="%"
            )
        )
    return findings


def _judge_greys(case: str, of_case: IntensityMeasures) -> list[Finding]:
    """A finding about too few grey values."""
    span = of_case.highest - of_case.lowest
    is_rough = of_case.distinct <= MOST_GREYS and span > WIDE_SPAN and of_case.voxels >= ENOUGH
    if of_case.stored_bytes != 1 and not is_rough:
        return []
    text = f"8 bits: {of_case.distinct} grey values over {span:.6g} units, so fine contrast is lost"
    advice = "take the image before it was reduced to 8 bits"
    return [
        Finding(
            "8-bit-image", Weight.SUSPECT, text, advice, case=case, number=float(of_case.distinct), unit="grey values"
        )
    ]


def _judge_padding(case: str, of_case: IntensityMeasures) -> list[Finding]:
    if not of_case.padding:
        return []
    values = ", ".join(f"{value:g}" for value in of_case.padding)
    text = f"{of_case.padding_share:.1%} of the voxels are padding: {values}"
    advice = "nothing, where tools clip HU; else replace it by -1024"
    return [Finding("padding", Weight.ODD, text, advice, case=case, number=100 * of_case.padding_share, unit="%")]


def _blame(case: str, kind: str, text: str, advice: str, number: float) -> Finding:
    """A finding that the voxels are no HU."""
    return Finding(kind, Weight.WRONG, text, advice, case=case, number=number)
