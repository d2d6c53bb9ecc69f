"""Judges on which side of the body organs lie: one on the wrong side, a swapped pair, or all of them mirrored."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from coordinator.datasets.audit.anatomy.organfacts import LEFT, RIGHT, find_pairs, is_midline, know, named_side
from coordinator.datasets.audit.anatomy.organmeasures import CaseOrgans, OrganMeasures
from coordinator.datasets.audit.findings import Finding, Place, Repair, Weight

MARGIN_MM = 12.0
"""An organ is on a side when its centroid lies this far from the middle. The middle of the body and the spine differ by
up to 4 mm on real scans and 10 mm on oblique phantoms, and the organs with a side lie 25 mm and more from it."""
SWAPPED_MM = 20.0
"""How far the left one of a pair must lie to the right of the right one; adrenal glands are 60 mm apart."""
TABLE_SHARE, TABLE_CASES = 0.8, 3
"""Where a pair is swapped in so many cases that show it, it is the label table that is wrong. Where as many show it
the right way round, and the case's other organs are on their sides, it is certain that a case has it swapped."""
NAMES = {LEFT: "left", RIGHT: "right"}

Pair = tuple[str, str]


class _Side(NamedTuple):
    """An organ of a case, and how far it lies on the wrong side, in mm; negative on the right one."""

    organ: str
    measured: OrganMeasures
    wrong_mm: float


def judge_sides(measures: Mapping[str, CaseOrgans], organs: Mapping[int, str]) -> list[Finding]:
    """Organs on the wrong side of the body, pairs that are swapped, and cases in which all organs are mirrored."""
    findings: list[Finding] = []
    swaps: list[tuple[Pair, Finding]] = []
    shown: dict[Pair, int] = {}
    confirmed: set[tuple[str, Pair]] = set()
    pairs = find_pairs(organs.values())
    for case, found in measures.items():
        sides = {organs[m.label]: side for m in found.organs if (side := _find_side(organs[m.label], m, found, organs))}
        if mirrored := _judge_mirrored(case, list(sides.values())):
            findings.append(mirrored)
            continue
        present = {organs[measured.label]: measured for measured in found.organs}
        swapped: set[str] = set()
        for pair in pairs:
            if set(pair) <= set(present):
                shown[pair] = shown.get(pair, 0) + 1
                if swap := _judge_pair(case, pair, present, sides):
                    swaps.append((pair, swap))
                    swapped.update(pair)
        findings += [
            _say_wrong(case, side) for side in sides.values() if side.wrong_mm > 0 and side.organ not in swapped
        ]
        confirmed.update((case, pair) for pair in pairs if _is_confirmed(pair, sides))
    return findings + list(_merge_swaps(_add_repairs(swaps, confirmed, shown, organs), shown))


def _find_side(organ: str, measured: OrganMeasures, found: CaseOrgans, organs: Mapping[int, str]) -> _Side | None:
    """On which side an organ lies; None where it has none, or lies near the middle by one of the signs."""
    side = know(organ).side
    marks = [other.centroid_mm[0] for other in found.organs if is_midline(organs[other.label])]
    signs = [measured.off_body_mm, measured.off_spine_mm, measured.centroid_mm[0] - np.median(marks) if marks else None]
    wrong_mm = [-side * sign for sign in signs if sign is not None]
    if not side or not wrong_mm:
        return None
    if min(wrong_mm) >= MARGIN_MM:
        return _Side(organ, measured, float(min(wrong_mm)))
    if max(wrong_mm) <= -MARGIN_MM:
        return _Side(organ, measured, float(max(wrong_mm)))
    return None


def _judge_mirrored(case: str, sides: list[_Side]) -> Finding | None:
    """All organs with a side are on the wrong one; a pair alone may just be swapped."""
    unpaired = [side for side in sides if not named_side(side.organ)]
    if len(sides) < 2 or not unpaired or any(side.wrong_mm < 0 for side in sides):
        return None
    worst = max(sides, key=lambda side: side.measured.volume_ml)
    return Finding(
        "all-mirrored",
        Weight.SUSPECT,
        f"all organs are mirrored: image or labels flipped left to right, or situs inversus; "
        f"{len(sides)} organs lie on the wrong side, {worst.organ} by {worst.wrong_mm:.0f} mm",
        "correct the orientation in the headers of image and labels, or exclude the case; situs inversus is rare",
        case,
        "",
        len(sides),
        "organs",
        Place(worst.measured.voxel),
    )


def _judge_pair(
    case: str, pair: Pair, present: Mapping[str, OrganMeasures], sides: Mapping[str, _Side]
) -> Finding | None:
    """Both of a pair lie where the other should; the middle of the body need not be known."""
    left, right = pair
    swapped_mm = present[left].centroid_mm[0] - present[right].centroid_mm[0]
    if swapped_mm < SWAPPED_MM or any(organ in sides and sides[organ].wrong_mm < 0 for organ in pair):
        return None
    return Finding(
        "left-right-swapped",
        Weight.WRONG,
        f"{left} must lie to the left of {right}, but lies {swapped_mm:.0f} mm to the right of it",
        f"swap the labels of {left} and {right}",
        case,
        left,
        swapped_mm,
        "mm",
        Place(present[left].voxel),
    )


def _is_confirmed(pair: Pair, sides: Mapping[str, _Side]) -> bool:
    """Whether both of a pair are on the wrong side, and all other organs on their own.

    One of these must have no side in its name, such as the liver: the names of pairs may all have been given by the
    side of the picture, so that they say nothing about whether the image is mirrored.
    """
    others = [side for organ, side in sides.items() if organ not in pair]
    is_wrong = all(organ in sides and sides[organ].wrong_mm > 0 for organ in pair)
    has_unpaired = any(not named_side(side.organ) for side in others)
    return is_wrong and has_unpaired and all(side.wrong_mm < 0 for side in others)


def _add_repairs(
    swaps: Sequence[tuple[Pair, Finding]],
    confirmed: Collection[tuple[str, Pair]],
    shown: Mapping[Pair, int],
    organs: Mapping[int, str],
) -> Iterator[tuple[Pair, Finding]]:
    """The swaps; with a repair where the case's other organs and the dataset's other cases confirm it."""
    ids = {organ: label for label, organ in organs.items()}
    counts = Counter(pair for pair, _ in swaps)
    for pair, finding in swaps:
        right_way = shown[pair] - counts[pair]
        if (finding.case, pair) in confirmed and right_way >= max(TABLE_CASES, TABLE_SHARE * shown[pair]):
            left, right = pair
            repair = Repair(finding.case, "swap sides", "labels", (ids[left], ids[right]))
            finding = replace(finding, repairs=(repair,), advice=f"{finding.advice}; `--fix` does")
        yield pair, finding


def _say_wrong(case: str, side: _Side) -> Finding:
    right, wrong = NAMES[know(side.organ).side], NAMES[-know(side.organ).side]
    return Finding(
        "wrong-side",
        Weight.SUSPECT,
        f"the organ must lie on the {right} of the body, but lies {side.wrong_mm:.0f} mm to the {wrong} of its middle",
        "give the voxels the label of the organ that lies there",
        case,
        side.organ,
        side.wrong_mm,
        "mm",
        Place(side.measured.voxel),
    )


def _merge_swaps(found: Iterable[tuple[Pair, Finding]], shown: Mapping[Pair, int]) -> Iterator[Finding]:
    """The swaps of each pair; as one finding about the label table where nearly all cases have it."""
    swaps = list(found)
    for pair in dict.fromkeys(pair for pair, _ in swaps):
        findings = [finding for of, finding in swaps if of == pair]
        left, right = pair
        if len(findings) < max(TABLE_CASES, TABLE_SHARE * shown[pair]):
            yield from findings
            continue
        yield Finding(
            "left-right-swapped",
            Weight.WRONG,
            f"{left} lies to the right of {right} in {len(findings)} of {shown[pair]} cases: the label table names "
            "them the wrong way round",
            f"swap the names {left} and {right} under `labels:` in dataset.yaml",
            organ=left,
            number=len(findings),
            unit="cases",
        )
