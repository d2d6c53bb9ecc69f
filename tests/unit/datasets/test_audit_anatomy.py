from functools import cache

import pytest
from helpers.auditdefects import DEFECTS, Defect
from helpers.auditphantoms import CASES, FIELDS, Phantom, draw

from coordinator.datasets.audit.findings import Finding
from coordinator.datasets.audit.organs import CaseOrgans, judge_organs, measure_organs


@cache
def measure(field: str, index: int) -> CaseOrgans:
    phantom = draw(field, index)
    return measure_organs(phantom.labels, phantom.volume(), phantom.organs)


def measure_all(field: str) -> dict[str, CaseOrgans]:
    return {f"case_{index}": measure(field, index) for index in range(CASES)}


def plant(defect: Defect, phantom: Phantom) -> Phantom:
    """The case with the defect; it must differ from the sound one, or the defect was none."""
    changed = phantom.copy()
    changed = defect.plant(changed) or changed
    differs = changed.labels.shape != phantom.labels.shape or (changed.labels != phantom.labels).any()
    assert differs or (changed.hu != phantom.hu).any()
    return changed


def describe(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return sorted((finding.kind, finding.case, finding.organ) for finding in findings)


@pytest.mark.parametrize("field", FIELDS)
def test_sound_cases_give_no_finding(field: str):
    assert judge_organs(measure_all(field), FIELDS[field].labels) == []


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_found_in_its_case_and_organ_and_nothing_else_is(name: str, field: str):
    defect, victim = DEFECTS[name], list(DEFECTS).index(name) % CASES
    phantom = plant(defect, draw(field, victim))
    measures = measure_all(field) | {f"case_{victim}": measure_organs(phantom.labels, phantom.volume(), phantom.organs)}

    findings = judge_organs(measures, FIELDS[field].labels)

    right = [
        f for f in findings if (f.kind, f.case, f.organ) == (defect.kind, f"case_{victim}", defect.organ_of(field))
    ]
    others = [
        f for f in findings if f not in right and (f.kind not in defect.consequences or f.case != f"case_{victim}")
    ]
    assert len(right) == 1, describe(findings)
    assert describe(others) == []
    assert right[0].place is not None
    assert all(0 <= v < n for v, n in zip(right[0].place.voxel, phantom.labels.shape, strict=True))
