"""What is unlike the dataset's other cases, where it has one kind of scans; and what most of them share."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from coordinator.datasets.audit.findings import Finding, Weight
from coordinator.datasets.audit.robust import FEWEST, robust_z

FAR_Z = 5.0
"""Robust standard deviations from the median; of a million normal values less than one lies as far."""
MOST_FAR = 0.1
"""Share of the cases that can stand out; where more do, the dataset has several kinds of scans, and none is far."""
USUAL = 0.5
"""Share of the cases; what more of them have is usual in the dataset, and odd in none."""
NAMED = 3
"""Cases that a finding on the dataset names."""
ADVICE = "compare with the DICOM files; nothing, where the scan is of another kind"


def find_far(values: Mapping[str, float], near: float) -> dict[str, float]:
    """Cases whose value lies far from the others' -> its robust z; none where many do.

    Args:
        values: case -> value.
        near: distance from the median that is never far, however closely the others agree.
    """
    scores = dict(zip(values, robust_z(list(values.values()), near / FAR_Z), strict=True))
    far = {case: z for case, z in scores.items() if abs(z) > FAR_Z}
    return far if len(far) <= max(1, MOST_FAR * len(values)) else {}


def judge_ratios(kind: str, words: str, lengths_mm: Mapping[str, float], near: float) -> Iterable[Finding]:
    """Findings on lengths that are many times, or a small part of, the others'.

    Args:
        kind: of the findings.
        words: what the lengths are of.
        lengths_mm: case -> length, positive.
        near: ratio to the median, above 1, that is never far.
    """
    logarithms = {case: math.log(length) for case, length in lengths_mm.items()}
    for case, z in find_far(logarithms, math.log(near)).items():
        usual = float(np.median(list(lengths_mm.values())))
        text = f"{words} is {lengths_mm[case]:.3g} mm, but {usual:.3g} mm in the middle case"
        yield Finding(kind, Weight.ODD, text, ADVICE, case=case, number=abs(z), unit="robust standard deviations")


def judge_places(kind: str, places_mm: Mapping[str, tuple[float, float, float]], near_mm: float) -> Iterable[Finding]:
    """Findings on scans that lie far from where the others lie in the world, one for each case.

    Args:
        kind: of the findings.
        places_mm: case -> RAS position.
        near_mm: distance along an axis that is never far.
    """
    far: dict[str, int] = {}
    for axis in range(3):
        for case in find_far({case: place[axis] for case, place in places_mm.items()}, near_mm):
            far.setdefault(case, axis)
    for case in far:
        usual = np.median(list(places_mm.values()), axis=0)
        away_mm = float(np.linalg.norm(np.array(places_mm[case]) - usual))
        text = f"the scan's middle lies {away_mm:.0f} mm from the place of the middle case"
        yield Finding(kind, Weight.ODD, text, ADVICE, case=case, number=away_mm, unit="mm")


def gather_usual(findings: Iterable[Finding], cases: int) -> list[Finding]:
    """Replace odd things that most cases have by one finding on the dataset.

    Args:
        findings: on cases and on the dataset.
        cases: how many there are; in a dataset of few nothing is usual.
    """
    kept: list[Finding] = []
    odd: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        is_odd = finding.weight == Weight.ODD and finding.case
        (odd[finding.kind] if is_odd else kept).append(finding)
    for alike in odd.values():
        names = sorted({finding.case for finding in alike})
        if cases >= FEWEST and len(names) > USUAL * cases:
            most = max(alike, key=lambda finding: finding.number or 0.0)
            text = f"{len(names)} of {cases} cases, such as {', '.join(names[:NAMED])}: {most.text} (in {most.case})"
            repairs = tuple(repair for finding in alike for repair in finding.repairs)
            number = float(len(names))
            kept.append(replace(most, case="", text=text, number=number, unit="cases", place=None, repairs=repairs))
        else:
            kept += alike
    return kept
