"""The anatomy of the given labels: what is measured of a case, and what is wrong or odd, from labels and image alone.

    case ──measure_organs──► pieces, holes, ends, place, HU … of each organ
    all cases ──judge_organs──► the label map as a whole ─► sides ─► shapes ─► values, places

What explains a case as a whole is said once: where a label map is flipped, its organs are not compared with others'.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from coordinator.datasets.audit.anatomy.common import gather_common
from coordinator.datasets.audit.anatomy.judgefits import judge_fits
from coordinator.datasets.audit.anatomy.judgeplaces import judge_places
from coordinator.datasets.audit.anatomy.judgeshapes import judge_shapes
from coordinator.datasets.audit.anatomy.judgesides import judge_sides
from coordinator.datasets.audit.anatomy.judgevalues import judge_values
from coordinator.datasets.audit.anatomy.measuring import measure_organs
from coordinator.datasets.audit.anatomy.organfacts import find_pairs
from coordinator.datasets.audit.anatomy.organmeasures import CaseOrgans
from coordinator.datasets.audit.findings import Finding

__all__ = ["CaseOrgans", "judge_organs", "measure_organs"]

OF_THE_WHOLE = ("labels-flipped", "labels-shifted", "labels-off-image", "upside-down", "back-to-front", "all-mirrored")
"""Kinds that explain most of what is odd about a case."""
MOVED = ("wrong-side", "left-right-swapped", "handful-of-voxels")
"""Kinds that explain why an organ lies elsewhere than in the other cases."""


def judge_organs(measures: Mapping[str, CaseOrgans], organs: Mapping[int, str]) -> list[Finding]:
    """Judge the organs of all cases of a dataset, each by itself and against the others.

    Args:
        measures: case -> its measures.
        organs: id -> organ.

    Returns:
        The findings, in no order; none of organs that `organs` does not name.
    """
    named = {case: _keep_named(found, organs) for case, found in measures.items()}
    fits = judge_fits(named, organs)
    unfit = {finding.case for finding in fits if finding.kind in OF_THE_WHOLE}
    sides = judge_sides({case: found for case, found in named.items() if case not in unfit}, organs)
    whole = unfit | {finding.case for finding in sides if finding.kind in OF_THE_WHOLE}
    shapes = judge_shapes(named, organs)
    comparable = {case: found for case, found in named.items() if case not in whole}
    explained = _list_explained([*sides, *shapes], organs)
    places = judge_places(comparable, organs)
    findings = [
        *fits,
        *sides,
        *shapes,
        *judge_values(comparable, organs),
        *(finding for finding in places if (finding.case, finding.organ) not in explained),
    ]
    return gather_common(findings, _count_cases(named, organs))


def _count_cases(measures: Mapping[str, CaseOrgans], organs: Mapping[int, str]) -> dict[str, int]:
    """Organ -> cases that have it; under the empty name, all cases."""
    counts = Counter(organs[measured.label] for found in measures.values() for measured in found.organs)
    return {**counts, "": len(measures)}


def _list_explained(findings: Iterable[Finding], organs: Mapping[int, str]) -> set[tuple[str, str]]:
    """Organs of cases that lie elsewhere because they are on the wrong side, or are a handful of voxels."""
    partners = {organ: pair for pair in find_pairs(organs.values()) for organ in pair}
    return {
        (finding.case, organ)
        for finding in findings
        if finding.kind in MOVED
        for organ in partners.get(finding.organ, (finding.organ,))
    }


def _keep_named(found: CaseOrgans, organs: Mapping[int, str]) -> CaseOrgans:
    return replace(found, organs=tuple(organ for organ in found.organs if organ.label in organs))
