"""What nearly all cases of a dataset have in common is one finding about the dataset: its table or its headers."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from coordinator.datasets.audit.findings import Finding

COMMON_SHARE, COMMON_CASES = 0.8, 3
"""Share of the cases, and how many at the least, from which on the cause is the dataset's. A defect that an
annotator makes is in some cases, one of a table or a converter in all."""


def gather_common(findings: Iterable[Finding], cases: Mapping[str, int]) -> list[Finding]:
    """Replace the findings of one kind and organ that nearly all cases have by one about the dataset.

    Args:
        findings: of all cases.
        cases: organ -> number of cases that have it; under the empty name, of all cases.
    """
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.kind, finding.organ if finding.case else ""), []).append(finding)
    gathered = []
    for (_, organ), group in groups.items():
        affected = {finding.case for finding in group if finding.case}
        of = cases.get(organ, 0)
        if len(affected) >= max(COMMON_CASES, COMMON_SHARE * of):
            worst = max(group, key=lambda finding: finding.number or 0.0)
            text = f"in {len(affected)} of {of} cases, such as {worst.case}: {worst.text}"
            gathered.append(replace(worst, text=text, case="", number=len(affected), unit="cases", place=None))
        else:
            gathered += group
    return gathered
