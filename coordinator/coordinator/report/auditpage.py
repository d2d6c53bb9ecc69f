"""The audit as one self-contained HTML file: all findings, worst first, the first of them with a slice."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coordinator.datasets.audit.audit import Audit
from coordinator.datasets.audit.findings import Finding, count_kinds
from coordinator.report.auditpictures import Picture, draw_pictures
from coordinator.report.page import load_template, read_part

MOST_PICTURES = 300
"""Findings of a dataset that get a slice, the worst: about 20 KB each, so that a browser opens the page at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """A dataset on the page.

    Attributes:
        audit: of the dataset.
        pictures: finding -> its slice.
    """

    audit: Audit
    pictures: Mapping[Finding, Picture]

    @property
    def kinds(self) -> list[tuple[str, str, int]]:
        """Weight, kind and how many findings, worst first."""
        return count_kinds(self.audit.findings)

    @property
    def is_cut(self) -> bool:
        """Whether there are more findings about cases than pictures."""
        return len(_choose_shown(self.audit.findings)) < sum(1 for finding in self.audit.findings if finding.case)

    def source(self, finding: Finding) -> str:
        """Address of a finding's slice that holds the slice itself; empty where there is none."""
        picture = self.pictures.get(finding)
        return f"data:image/png;base64,{base64.b64encode(picture.png).decode()}" if picture else ""


def render_audit(audits: Sequence[Audit], processes: int) -> str:
    """Render the page.

    Args:
        audits: of one or several datasets.
        processes: how many cases are read at once, for their slices.
    """
    sections = [
        Section(audit, draw_pictures(audit.dataset, _choose_shown(audit.findings), processes)) for audit in audits
    ]
    return load_template("audit.html.j2").render(
        sections=sections, style=read_part("style.css"), script=read_part("page.js"), most_pictures=MOST_PICTURES
    )


def _choose_shown(findings: Sequence[Finding]) -> list[Finding]:
    """The findings that get a slice: the worst that are about a case."""
    return [finding for finding in findings if finding.case][:MOST_PICTURES]
