"""Checks every file of a dataset before anything runs, and lists all problems at once.

A case with errors is set aside: no step uses it, and the report lists it. A case with warnings is used. The results are
kept in the run folder with each file's size and time, so that the next run reads only changed files.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from contract import atomic, records, statefiles
from contract.casenames import list_passed_over
from contract.datasets import Dataset, case_names
from contract.errors import CaseError
from contract.processes import count_processes, map_cases
from contract.volumes import read_header, read_image, read_labels
from coordinator.datasets.hounsfield import describe_voxels
from coordinator.datasets.names import find_name_errors, find_name_warnings, merge_errors

FEW_CASES = 8
"""Up to this many cases are read in this process; starting others pays off only for more."""


@dataclass(frozen=True, slots=True)
class CaseCheck:
    """The result of checking a case.

    Attributes:
        errors: why it cannot be used; empty for a sound case.
        warnings: what its user should know.
        image_sha256: of the image file.
        labels_sha256: of the file of labels; None where the dataset has no labels.
        voxels_sha256: of the image's voxels without the header; equal for cases with the same image.
        organs: label ids that occur.
    """

    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    image_sha256: str | None = None
    labels_sha256: str | None = None
    voxels_sha256: str | None = None
    organs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class DatasetCheck:
    """The result of checking a dataset.

    Attributes:
        name: of the dataset.
        labels: label id -> organ.
        cases: the sound cases, sorted.
        checks: case -> its check, for all cases that are not excluded.
        excluded: case -> reason, from dataset.yaml or the study.
        warnings: about the dataset as a whole.
    """

    name: str
    labels: dict[int, str]
    cases: tuple[str, ...]
    checks: Mapping[str, CaseCheck]
    excluded: Mapping[str, str]
    warnings: tuple[str, ...]

    @property
    def set_aside(self) -> dict[str, list[str]]:
        """Case with errors -> its errors."""
        return {case: list(check.errors) for case, check in self.checks.items() if check.errors}

    def digests(self, *, labels: bool) -> list[list[str | None]]:
        """Name and file digests of each sound case, for fingerprints."""
        return [
            [case, self.checks[case].image_sha256, self.checks[case].labels_sha256 if labels else None]
            for case in self.cases
        ]

    def summary(self) -> dict[str, Any]:
        """The content of a run folder's `check.json`."""
        return {
            "cases": len(self.checks),
            "sound": len(self.cases),
            "set_aside": self.set_aside,
            "excluded": dict(self.excluded),
            "warnings": [*self.warnings, *(f"{c}: {w}" for c, check in self.checks.items() for w in check.warnings)],
        }


def check_dataset(
    dataset: Dataset,
    exclude: Mapping[str, str] | None = None,
    cache: Path | None = None,
    show_progress: Callable[[int, int], None] = lambda done, total: None,
) -> DatasetCheck:
    """Read every image and label map of a dataset.

    Args:
        dataset: the dataset; it is never written to.
        exclude: case -> reason, in addition to those of dataset.yaml.
        cache: file that keeps the results; None keeps nothing.
        show_progress: called with (cases done, all cases).

    Returns:
        The checks of all cases that are not excluded.
    """
    excluded = {**dataset.description.exclude, **(exclude or {})}
    cases = [case for case in dataset.cases() if case not in excluded]
    cached = _read_cache(cache)
    stamps = {case: _stamp(dataset, case) for case in cases}
    checks = {case: cached[case][1] for case in cases if case in cached and cached[case][0] == stamps[case]}
    todo = [case for case in cases if case not in checks]
    show_progress(len(checks), len(cases))
    for case, check in _check_cases(dataset, todo):
        checks[case] = check
        show_progress(len(checks), len(cases))
    checks = dict(sorted(checks.items()))
    if cache is not None and todo:
        atomic.write_text(cache, json.dumps({case: [stamps[case], asdict(check)] for case, check in checks.items()}))
    for case, errors in find_name_errors(dataset, cases, excluded).items():
        earlier = checks.get(case, CaseCheck((), ()))
        checks[case] = replace(earlier, errors=merge_errors(dataset, case, errors, earlier.errors))
    checks = dict(sorted(checks.items()))
    return DatasetCheck(
        name=dataset.name,
        labels=dataset.labels,
        cases=tuple(case for case, check in checks.items() if not check.errors),
        checks=checks,
        excluded=dict(sorted(excluded.items())),
        warnings=tuple(_dataset_warnings(dataset, checks, excluded)),
    )


def check_case(dataset: Dataset, case: str) -> CaseCheck:
    """Read one case's image and label map, and list its errors and warnings."""
    try:
        image = read_image(dataset.image(case))
    except CaseError as error:
        return CaseCheck(errors=(str(error),), warnings=())
    warnings = [*image.notes, *describe_voxels(image, dataset.image(case))]
    digests: dict[str, Any] = {
        "image_sha256": image.sha256,
        "voxels_sha256": hashlib.sha256(np.ascontiguousarray(image.array).data.cast("B")).hexdigest(),
    }
    if not dataset.labels:
        return CaseCheck(errors=(), warnings=tuple(warnings), **digests)
    try:
        labels = read_labels(dataset.label(case), image, dataset.labels)
    except CaseError as error:
        return CaseCheck(errors=(str(error),), warnings=tuple(warnings), **digests)
    organs = tuple(int(i) for i in np.unique(labels) if i)
    if not organs:
        warnings.append("no organ is labelled; scores follow the convention for empty masks")
    digests["labels_sha256"] = records.file_sha256(dataset.label(case))
    return CaseCheck(errors=(), warnings=tuple(warnings), organs=organs, **digests)


def _check_cases(dataset: Dataset, cases: list[str]) -> Iterable[tuple[str, CaseCheck]]:
    few = len(cases) <= FEW_CASES
    workers = 1 if few else count_processes(max(_announced_bytes(dataset, case) for case in cases), len(cases))
    checks = map_cases(_check_named, [(dataset.image(case), dataset, case) for case in cases], workers, "forkserver")
    for case, check in zip(cases, checks, strict=True):
        yield case, CaseCheck(errors=(str(check),), warnings=()) if isinstance(check, CaseError) else check


def _check_named(image: Path, dataset: Dataset, case: str) -> CaseCheck:
    return check_case(dataset, case)


def _announced_bytes(dataset: Dataset, case: str) -> int:
    """Memory that reading a case takes: its image twice, and its label map."""
    try:
        header = read_header(dataset.image(case))
    except CaseError:
        return 0
    return 2 * header.size + 4 * header.voxels


def _dataset_warnings(dataset: Dataset, checks: Mapping[str, CaseCheck], excluded: Mapping[str, str]) -> list[str]:
    warnings = find_name_warnings(dataset, [case for case in checks if dataset.image(case).exists()])
    images = {*case_names(dataset.folder / "images"), *(i.case for i in list_passed_over(dataset.folder / "images"))}
    unknown = sorted(set(excluded) - images)
    if unknown:
        warnings.append(f"excluded cases that do not exist: {', '.join(unknown)}")
    present = {label for check in checks.values() for label in check.organs}
    absent = [organ for label, organ in dataset.labels.items() if label not in present]
    if absent and present:
        warnings.append(f"organs that occur in no case: {', '.join(absent)}")
    cases_by_image: dict[str, list[str]] = {}
    for case, check in checks.items():
        if check.voxels_sha256:
            cases_by_image.setdefault(check.voxels_sha256, []).append(case)
    warnings += [f"cases with the same image: {', '.join(same)}" for same in cases_by_image.values() if len(same) > 1]
    return warnings


def _stamp(dataset: Dataset, case: str) -> list[Any]:
    """Size and time of a case's files, and the label ids: while these stay the same, a cached check is valid."""
    stamp: list[Any] = [sorted(dataset.labels)]
    for path in (dataset.image(case), dataset.label(case)):
        try:
            status = path.stat()
            stamp.append([status.st_size, status.st_mtime_ns])
        except OSError as error:  # it has no stamp; reading it says what is wrong with it
            stamp.append(error.strerror)
    return stamp


def _read_cache(cache: Path | None) -> dict[str, tuple[list[Any], CaseCheck]]:
    return (statefiles.read(cache, _parse_cache) if cache else None) or {}


def _parse_cache(content: bytes) -> dict[str, tuple[list[Any], CaseCheck]]:
    return {
        case: (list(stamp), _parse_check(check)) for case, (stamp, check) in statefiles.parse_mapping(content).items()
    }


def _parse_check(content: Mapping[str, Any]) -> CaseCheck:
    """The check of a case; every value has the type that was written."""
    check = CaseCheck(**{**content, **{name: tuple(content[name]) for name in ("errors", "warnings", "organs")}})
    digests = (check.image_sha256, check.labels_sha256, check.voxels_sha256)
    texts = (*check.errors, *check.warnings, *(sha256 for sha256 in digests if sha256 is not None))
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(organ, int) for organ in check.organs):
        raise ValueError("a case's check holds values of other types")
    return check
