"""Judges whether a label map as a whole fits its image: turned, flipped, shifted, or in air."""

from collections.abc import Iterator, Mapping
from itertools import permutations

import numpy as np

from coordinator.datasets.audit.anatomy.organfacts import know
from coordinator.datasets.audit.anatomy.organmeasures import CaseOrgans, Fit, OrganMeasures
from coordinator.datasets.audit.findings import Finding, Place, Weight
from coordinator.datasets.audit.robust import robust_z

ORDERED_MM = 20.0
"""Two organs lie one above or before the other when their centroids are this far apart: more than an organ moves by
breathing or lying on another side."""
LEAST_ORDERED, REVERSED_SHARE = 3, 0.75
"""Pairs of organs that tell the order, and how many must be the wrong way round: one misplaced organ reverses only its
own pairs."""
RANKS = {"height": 1.0, "depth": 1.5}
"""Ranks by which two organs must differ, so that no usual anatomy reverses them."""
FLIPPED_SHARE, SHIFTED_SHARE = 0.7, 0.75
"""Labels that don't belong where they are fit better elsewhere by so much. Sound labels on real scans and phantoms fit
best where they are: any flip or shift raises their misfit."""
LEAST_GAIN_HU = 6.0
"""By which the misfit must fall, at the least: half of the noise of a thick slice."""
GOOD_HU, BAD_HU, LEAST_FITTED = 45.0, 65.0, 3
"""Misfits of labels that lie where they belong, at the most, and of labels that don't, at the least. It is 9 to 22 HU
on sound phantoms and real scans, 35 HU at the noise of a thin slice, and 80 HU and more where labels are off by an
organ's width. A single organ may be diseased, 44 HU in a dissected aorta, or be moved along itself; it takes three."""
MISFIT_Z, MISFIT_SPREAD, WORSE_HU, WORSE_RATIO = 6.0, 4.0, 30.0, 2.0
"""Misfits that are far from the other cases': labels of another patient raise that of phantoms from 13 to 41 HU and
more, one organ of another tissue to 24 HU. Contrast phase and noise move it by about 4 HU."""
LEAST_SHIFT_MM = 8.0
"""Smaller shifts are within the doubt of any outline."""
AIR_SHARE, AIR_ML = 0.1, 1.0
"""Share and volume in air of an organ that holds none. An outline that is one voxel too wide at the lung takes in a
few percent; on sound real scans it is 0."""
LEAST_IN_AIR, SHARE_IN_AIR = 2, 0.4
"""Organs in air, at least and of those that hold none, that make it a fault of the whole label map."""
OFF_IMAGE = "the label map belongs to another image or is turned; correct its header, or exclude the case"

Found = Iterator[Finding]
Ordered = tuple[float, OrganMeasures, OrganMeasures]


def judge_fits(measures: Mapping[str, CaseOrgans], organs: Mapping[int, str]) -> list[Finding]:
    """Label maps that are turned, flipped or shifted, or whose organs lie in air."""
    findings: list[Finding] = []
    worse = dict(_compare_fits(measures))
    for case, found in measures.items():
        fit = list(_judge_fit(case, found))
        fit = fit or [*_judge_order(case, found, organs), *_judge_air(case, found, organs)]
        findings += fit or ([worse[case]] if case in worse else [])
    return findings


def _compare_fits(measures: Mapping[str, CaseOrgans]) -> Iterator[tuple[str, Finding]]:
    """Cases whose labels fit their image far worse than in the other cases."""
    fits = {case: found.fit for case, found in measures.items() if found.fit and found.fit.organs >= LEAST_FITTED}
    misfits = [fit.misfit_hu for fit in fits.values()]
    usual = float(np.median(misfits)) if misfits else 0.0
    for case, misfit_hu, z in zip(fits, misfits, robust_z(misfits, MISFIT_SPREAD), strict=True):
        if z >= MISFIT_Z and misfit_hu >= max(WORSE_HU, WORSE_RATIO * usual):
            place = Place(max(measures[case].organs, key=lambda organ: organ.volume_ml).voxel)
            text = (
                f"the labels fit the image worse than in the other cases: the solid organs' voxels lie "
                f"{misfit_hu:.0f} HU from their median, {usual:.0f} HU in the median case"
            )
            yield case, Finding("labels-off-image", Weight.SUSPECT, text, OFF_IMAGE, case, "", misfit_hu, "HU", place)


def _judge_order(case: str, found: CaseOrgans, organs: Mapping[int, str]) -> Found:
    """Whether the organs are upside down, or back to front."""
    for kind, rank, axis, text in (
        ("upside-down", "height", 2, "{0} of {1} pairs of organs lie upside down, such as {2} above {3}"),
        ("back-to-front", "depth", 1, "{0} of {1} pairs of organs lie back to front, such as {2} in front of {3}"),
    ):
        right: list[Ordered] = []
        wrong: list[Ordered] = []
        for high, low in permutations(found.organs, 2):
            distance_mm = high.centroid_mm[axis] - low.centroid_mm[axis]
            if _is_above(organs[high.label], organs[low.label], rank) and abs(distance_mm) >= ORDERED_MM:
                (right if distance_mm > 0 else wrong).append((distance_mm, high, low))
        count = len(right) + len(wrong)
        if len(wrong) < LEAST_ORDERED or len(wrong) < REVERSED_SHARE * count:
            continue
        _, high, low = min(wrong, key=lambda pair: pair[0])
        yield Finding(
            kind,
            Weight.WRONG,
            text.format(len(wrong), count, organs[low.label], organs[high.label]),
            "correct the orientation in the headers of labels or image, or exclude the case",
            case,
            "",
            len(wrong),
            "pairs of organs",
            Place(low.voxel, 0),
        )


def _is_above(organ: str, other: str, rank: str) -> bool:
    first, second = getattr(know(organ), rank), getattr(know(other), rank)
    return first is not None and second is not None and first - second >= RANKS[rank]


def _judge_fit(case: str, found: CaseOrgans) -> Found:
    fit = found.fit
    if not fit or fit.organs < LEAST_FITTED:
        return
    place = Place(max(found.organs, key=lambda organ: organ.volume_ml).voxel)
    if fit.flipped_misfit_hu <= fit.shifted_misfit_hu and _is_better(fit, fit.flipped_misfit_hu, FLIPPED_SHARE):
        yield Finding(
            "labels-flipped",
            Weight.WRONG,
            f"the labels fit the image better when flipped along {' and '.join(fit.flips)}: the solid organs' voxels "
            f"then lie {fit.flipped_misfit_hu:.0f} HU from their median, not {fit.misfit_hu:.0f} HU",
            "flip the label map, or correct its header",
            case,
            "",
            fit.misfit_hu - fit.flipped_misfit_hu,
            "HU",
            place,
        )
        return
    distance_mm = float(np.linalg.norm(fit.shift_mm))
    if distance_mm >= LEAST_SHIFT_MM and _is_better(fit, fit.shifted_misfit_hu, SHIFTED_SHARE):
        shift = ", ".join(f"{mm:.0f}" for mm in fit.shift_mm)
        yield Finding(
            "labels-shifted",
            Weight.WRONG,
            f"the labels fit the image better when moved by {shift} mm along x, y, z: the solid organs' voxels then "
            f"lie {fit.shifted_misfit_hu:.0f} HU from their median, not {fit.misfit_hu:.0f} HU",
            "move the label map, or correct the origin in its header",
            case,
            "",
            distance_mm,
            "mm",
            place,
        )


def _is_better(fit: Fit, misfit_hu: float, share: float) -> bool:
    is_good = misfit_hu <= GOOD_HU and fit.misfit_hu - misfit_hu >= LEAST_GAIN_HU
    return is_good and misfit_hu <= share * fit.misfit_hu


def _judge_air(case: str, found: CaseOrgans, organs: Mapping[int, str]) -> Found:
    """Organs that lie in air though they hold none, each by itself, or as one finding about the whole label map."""
    airless = [measured for measured in found.organs if not know(organs[measured.label]).has_gas]
    in_air = [
        organ for organ in airless if organ.air_share >= AIR_SHARE and organ.air_share * organ.volume_ml >= AIR_ML
    ]
    if len(in_air) >= max(LEAST_IN_AIR, SHARE_IN_AIR * len(airless)):
        worst = max(in_air, key=lambda organ: organ.air_share * organ.volume_ml)
        listed = ", ".join(f"{organs[organ.label]} {organ.air_share:.0%}" for organ in in_air)
        yield Finding(
            "labels-off-image",
            Weight.WRONG,
            f"{len(in_air)} of {len(airless)} organs lie in air or lung, below -500 HU: {listed}",
            OFF_IMAGE,
            case,
            "",
            len(in_air),
            "organs",
            Place(worst.air_voxel),
        )
        return
    if found.fit and found.fit.misfit_hu >= BAD_HU and found.fit.organs >= LEAST_FITTED:
        yield Finding(
            "labels-off-image",
            Weight.WRONG,
            f"the labels fit the image nowhere near: the solid organs' voxels lie {found.fit.misfit_hu:.0f} HU from "
            f"their median, and at most {GOOD_HU:g} HU where labels belong",
            OFF_IMAGE,
            case,
            "",
            found.fit.misfit_hu,
            "HU",
            Place(max(found.organs, key=lambda organ: organ.volume_ml).voxel),
        )
        return
    for organ in in_air:
        yield _say_in_air(case, organs[organ.label], organ)


def _say_in_air(case: str, organ: str, measured: OrganMeasures) -> Finding:
    return Finding(
        "organ-in-air",
        Weight.SUSPECT,
        f"the organ holds no air, but {measured.air_share:.0%} of it lie below -500 HU",
        "draw the outline again: it reaches into lung, bowel gas or out of the body",
        case,
        organ,
        100 * measured.air_share,
        "%",
        Place(measured.air_voxel),
    )
