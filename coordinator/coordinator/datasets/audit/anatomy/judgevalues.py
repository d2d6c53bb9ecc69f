"""Judges volume and HU of each organ: against what an adult can have, and against the other cases."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from coordinator.datasets.audit.anatomy.judgeshapes import is_handful
from coordinator.datasets.audit.anatomy.organfacts import know
from coordinator.datasets.audit.anatomy.organmeasures import CaseOrgans, OrganMeasures
from coordinator.datasets.audit.findings import Finding, Place, Weight
from coordinator.datasets.audit.robust import robust_z

FAR_Z, VERY_FAR_Z = 5.0, 8.0
"""Robust standard deviations that are far. A dataset has thousands of organs, and patients' volumes have heavier tails
than a normal distribution, of which one in 16,000 lies beyond 4; at the least spread, 5 is a factor of 2.7."""
VOLUME_SPREAD, HOLLOW_SPREAD = 0.2, 0.35
"""Standard deviation of the logarithm of a volume that is assumed at the least: of healthy livers and kidneys it is
0.2 to 0.25, of hollow organs 0.35 and more."""
HU_SPREAD, LEAST_HU = 12.0, 35.0
"""Standard deviation of a median HU between scans of one phase that is assumed at the least, and the difference that
counts at the least: noise and beam hardening make 10 HU."""
PHASE_DOUBT = 0.5
"""Share of an organ's expected enhancement that may differ when the phase of the case differs from the others'."""
LEAST_SHOWN = 0.25
"""Share of its usual volume that an organ must show for its HU to be compared; a tip is all partial volume."""
LEAST_ORGANS = 3
"""Organs that tell how a case differs from the others as a whole, in size or in contrast."""
LARGEST_SIZE = 0.5
"""Logarithm of the factor by which a whole body may be larger or smaller than the others, as a child's or a giant's."""

Found = Iterator[Finding]
Key = tuple[str, int]


class Value(NamedTuple):
    """A value of an organ of a case: how far it lies from the other cases', and what is usual there."""

    value: float
    z: float
    usual: float
    cases: int


def judge_values(measures: Mapping[str, CaseOrgans], organs: Mapping[int, str]) -> list[Finding]:
    """Organs whose volume or HU are impossible, or far from the other cases'."""
    volumes, intensities = compare_volumes(measures, organs), _compare_hu(measures, organs)
    findings: list[Finding] = []
    for case, found in measures.items():
        for measured in found.organs:
            organ, key = organs[measured.label], (case, measured.label)
            if not is_handful(measured):
                findings += _judge_volume(case, organ, measured, volumes.get(key))
            findings += _judge_hu(case, organ, measured, intensities.get(key))
    return findings


def compare_volumes(measures: Mapping[str, CaseOrgans], organs: Mapping[int, str]) -> dict[Key, Value]:
    """How far each complete organ's volume lies from the other cases', less the size of the whole body."""
    logs = {
        (case, measured.label): float(np.log(measured.volume_ml))
        for case, found in measures.items()
        for measured in found.organs
        if measured.is_complete
    }
    usual = _take_medians(logs)
    sizes = _take_case_medians(
        {key: value - usual[key[1]] for key, value in logs.items() if not know(organs[key[1]]).is_hollow}
    )
    compared = {}
    for label in usual:
        keys = [key for key in logs if key[1] == label]
        values = [logs[key] - float(np.clip(sizes.get(key[0], 0.0), -LARGEST_SIZE, LARGEST_SIZE)) for key in keys]
        spread = HOLLOW_SPREAD if know(organs[label]).is_hollow else VOLUME_SPREAD
        for key, z in zip(keys, robust_z(values, spread), strict=True):
            compared[key] = Value(float(np.exp(logs[key])), z, float(np.exp(usual[label])), len(keys))
    return compared


def _judge_volume(case: str, organ: str, measured: OrganMeasures, compared: Value | None) -> Found:
    place, volume_ml = Place(measured.voxel), measured.volume_ml
    limits = know(organ).volume_ml
    if limits and measured.is_complete and not limits[0] <= volume_ml <= limits[1]:
        yield Finding(
            "volume-impossible",
            Weight.SUSPECT,
            f"{name_ml(volume_ml)} ml is no volume of this organ of an adult, {limits[0]:g} to {limits[1]:g} ml",
            "draw the organ again, or check the spacing in the header",
            case,
            organ,
            volume_ml,
            "ml",
            place,
        )
    elif compared and abs(compared.z) >= FAR_Z:
        yield Finding(
            "volume-unlike-others",
            Weight.SUSPECT if abs(compared.z) >= VERY_FAR_Z else Weight.ODD,
            f"{name_ml(volume_ml)} ml, but the median of the {compared.cases} cases that show all of it "
            f"is {name_ml(compared.usual)} ml",
            "look whether a part is missing, or too much is labelled; a patient may be like that",
            case,
            organ,
            abs(compared.z),
            "robust standard deviations",
            place,
        )


def name_ml(volume_ml: float) -> str:
    """A volume to two digits or to the millilitre."""
    return f"{volume_ml:.0f}" if volume_ml >= 10 else f"{volume_ml:.2g}"


def _compare_hu(measures: Mapping[str, CaseOrgans], organs: Mapping[int, str]) -> dict[Key, Value]:
    """How far each organ's median HU lies from the other cases', both as it is and less what contrast explains.

    Contrast adds to every organ of a case in proportion to its usual enhancement; a case with less of it is no finding.
    """
    volumes = _take_medians({(case, m.label): m.volume_ml for case, found in measures.items() for m in found.organs})
    medians = {
        (case, m.label): m.median_hu
        for case, found in measures.items()
        for m in found.organs
        if m.volume_ml >= LEAST_SHOWN * volumes[m.label]
    }
    usual = _take_medians(medians)
    phases = _take_case_medians(
        {
            key: (value - usual[key[1]]) / know(organs[key[1]]).enhancement_hu
            for key, value in medians.items()
            if know(organs[key[1]]).enhancement_hu and not know(organs[key[1]]).is_hollow
        }
    )
    compared = {}
    for label in usual:
        facts, keys = know(organs[label]), [key for key in medians if key[1] == label]
        if facts.is_vessel or facts.is_hollow:
            continue  # the phase alone, or the content, decides their HU
        expected = [phases.get(case, 0.0) * facts.enhancement_hu for case, _ in keys]
        direct = robust_z([medians[key] for key in keys], HU_SPREAD)
        rest = robust_z([medians[key] - e for key, e in zip(keys, expected, strict=True)], HU_SPREAD)
        for key, e, z, z_rest in zip(keys, expected, direct, rest, strict=True):
            difference = abs(medians[key] - e - usual[label])
            is_far = z * z_rest > 0 and difference >= LEAST_HU + PHASE_DOUBT * abs(e)
            z = min(z, z_rest, key=abs) if is_far else 0.0
            compared[key] = Value(medians[key], z, usual[label], len(keys))
    return compared


def _judge_hu(case: str, organ: str, measured: OrganMeasures, compared: Value | None) -> Found:
    place, hu = Place(measured.voxel), measured.median_hu
    limits = know(organ).median_hu
    if limits and not limits[0] <= hu <= limits[1]:
        yield Finding(
            "hu-impossible",
            Weight.SUSPECT,
            f"the organ's median is {hu:.0f} HU, but must lie in {limits[0]:g} to {limits[1]:g} HU",
            "look what the label covers: fat, air or bone; or check that the image is in HU",
            case,
            organ,
            hu,
            "HU",
            place,
        )
    elif compared and abs(compared.z) >= FAR_Z:
        yield Finding(
            "hu-unlike-others",
            Weight.ODD,
            f"the organ's median is {hu:.0f} HU, but the median of {compared.cases} cases is {compared.usual:.0f} HU, "
            "and the contrast of the other organs does not explain it",
            "look whether the label covers another tissue; a disease may do the same",
            case,
            organ,
            abs(compared.z),
            "robust standard deviations",
            place,
        )


def _take_medians(values: Mapping[Key, float]) -> dict[int, float]:
    """Organ -> median of its cases."""
    labels = {label for _, label in values}
    return {i: float(np.median([value for (_, label), value in values.items() if label == i])) for i in sorted(labels)}


def _take_case_medians(values: Mapping[Key, float]) -> dict[str, float]:
    """Case -> median of its organs, where these are enough."""
    cases: dict[str, list[float]] = {}
    for (case, _), value in values.items():
        cases.setdefault(case, []).append(value)
    return {case: float(np.median(of)) for case, of in cases.items() if len(of) >= LEAST_ORGANS}
