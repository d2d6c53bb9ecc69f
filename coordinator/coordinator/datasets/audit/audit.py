"""The audit of datasets: every case is read once, in several processes, then all are judged together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from contract.datasets import Dataset
from contract.errors import CaseError
from contract.processes import count_processes, map_cases
from coordinator.datasets.audit.anatomy.organs import judge_organs
from coordinator.datasets.audit.cache import Cache
from coordinator.datasets.audit.checks import judge_checks
from coordinator.datasets.audit.duplicates import judge_duplicates
from coordinator.datasets.audit.files.casefiles import judge_files
from coordinator.datasets.audit.findings import Finding, sort_findings
from coordinator.datasets.audit.inspection import Inspection, inspect_case
from coordinator.datasets.check import FEW_CASES, CaseCheck, DatasetCheck, announced_bytes, gather_checks, stamp_case

MEASURING = 3
"""Memory of measuring a case, as a multiple of that of reading it. Usual organs take less than 1; one label that fills
an image of 8 bits takes 3.7, of which `PROCESS_BYTES` has most of the rest."""

ShowProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Audit:
    """What is known of a dataset when it has been audited.

    Attributes:
        dataset: the dataset.
        check: errors and warnings of its cases.
        findings: worst first.
    """

    dataset: Dataset
    check: DatasetCheck
    findings: tuple[Finding, ...]

    def summary(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "dataset": self.dataset.name,
            "cases": len(self.check.checks),
            "usable": len(self.check.cases),
            "excluded": dict(self.check.excluded),
            "findings": [asdict(finding) | {"weight": finding.weight.name.lower()} for finding in self.findings],
        }


def audit_datasets(
    datasets: Sequence[Dataset], cache: Path | None = None, show_progress: ShowProgress = lambda done, total: None
) -> list[Audit]:
    """Audit datasets, each alone and for scans that several of them have.

    Args:
        datasets: never written to.
        cache: file that keeps what was found out about each case; None keeps nothing.
        show_progress: called with (cases done, cases of all datasets).
    """
    kept = Cache(cache)
    total = sum(len(_list_cases(dataset)) for dataset in datasets)
    done = 0
    inspected = []
    for dataset in datasets:
        inspections, check = _inspect(dataset, kept, partial(_show_more, show_progress, total, done))
        inspected.append((dataset, inspections, check))
        done += len(inspections)
    checks = [(dataset, check) for dataset, _, check in inspected]
    return [
        Audit(dataset, check, tuple(_judge(dataset, inspections, check, _list_others(dataset, checks))))
        for dataset, inspections, check in inspected
    ]


def _list_others(dataset: Dataset, checks: Sequence[tuple[Dataset, DatasetCheck]]) -> list[DatasetCheck]:
    """The checks of the other datasets; one of the same name is called by its folder."""
    others = [(other, check) for other, check in checks if other != dataset]
    return [replace(check, name=str(other.folder)) if other.name == dataset.name else check for other, check in others]


def _show_more(show_progress: ShowProgress, total: int, before: int, done: int) -> None:
    """Show that cases of a dataset are done, after those of other datasets."""
    show_progress(before + done, total)


def _list_cases(dataset: Dataset) -> list[str]:
    return [case for case in dataset.cases() if case not in dataset.description.exclude]


def _inspect(
    dataset: Dataset, cache: Cache, show_done: Callable[[int], None]
) -> tuple[dict[str, Inspection], DatasetCheck]:
    """Read every case that the cache doesn't know."""
    cases = _list_cases(dataset)
    stamps = {case: stamp_case(dataset, case) for case in cases}
    inspections = cache.find(dataset, stamps)
    todo = [case for case in cases if case not in inspections]
    show_done(len(inspections))
    workers = 1
    if len(todo) > FEW_CASES:
        workers = count_processes(MEASURING * max(announced_bytes(dataset, case) for case in todo), len(todo))
    tasks = [(dataset.image(case), dataset, case) for case in todo]
    results = map_cases(inspect_case, tasks, workers, "forkserver")
    for case, result in zip(todo, results, strict=True):
        inspections[case] = Inspection(CaseCheck((str(result),), ())) if isinstance(result, CaseError) else result
        cache.add(dataset, case, stamps[case], inspections[case])
        show_done(len(inspections))
    checks = {case: inspections[case].check for case in cases}
    return inspections, gather_checks(dataset, checks, stamps, dataset.description.exclude)


def _judge(
    dataset: Dataset, inspections: Mapping[str, Inspection], check: DatasetCheck, others: Sequence[DatasetCheck]
) -> list[Finding]:
    """All findings of a dataset, worst first."""
    files = {case: inspections[case].files for case in check.cases}
    organs = {case: inspections[case].organs for case in check.cases}
    return sort_findings(
        [
            *judge_checks(check),
            *judge_duplicates(check, others),
            *judge_files({case: measures for case, measures in files.items() if measures}),
            *judge_organs({case: measures for case, measures in organs.items() if measures}, dataset.labels),
        ]
    )
