"""Checks every file of a dataset before anything runs, and lists all problems at once.

A case with errors is set aside: no step uses it, and the report lists it. A case with warnings is used. The results are
kept in the run folder with each file's stamp, so that the next run reads only changed files; a file with another stamp
and the same bytes keeps its result.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from contract import atomic, records, statefiles
from contract.casefiles import describe_kind
from contract.casenames import list_passed_over
from contract.datasets import SUFFIX, Dataset, case_names
from contract.errors import CaseError
from contract.labelmaps import LabelMap
from contract.processes import count_processes, map_cases
from contract.stamps import take_stamp
from contract.volumes import Volume, read_header, read_image, read_labels
from coordinator.datasets.hounsfield import describe_voxels
from coordinator.datasets.names import find_name_errors, find_name_warnings, merge_errors
from coordinator.datasets.scanprints import find_in_others, match_prints, scan_print
from coordinator.datasets.twins import group_equal, join_groups, values_digest

CHECK_VERSION = 3
"""Raise it when a check changes, so that files are checked again."""
TUPLES = ("errors", "warnings", "organs", "scan_print")
"""What a case's check holds several of."""
FEW_CASES = 8
"""Up to this many cases are read in this process; starting others pays off only for more."""

Look = Callable[[Volume, LabelMap | None], None]
"""Takes a case's image and labels while they are in memory; no labels where the dataset has none."""


@dataclass(frozen=True, slots=True)
class CaseCheck:
    """The result of checking a case.

    Attributes:
        errors: why it cannot be used; empty for a sound case.
        warnings: what its user should know.
        image_sha256: of the image file.
        labels_sha256: of the file of labels; None where the dataset has no labels.
        values_sha256: of the image's HU whatever their type, spacing and order; equal for cases with the same scan.
        organs: label ids that occur.
        scan_print: keys of the image's planes; a cropped or rescaled copy of the scan has some of them.
    """

    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    image_sha256: str | None = None
    labels_sha256: str | None = None
    values_sha256: str | None = None
    organs: tuple[int, ...] = ()
    scan_print: tuple[str, ...] = ()


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
        files: file below the dataset's folder -> its sha256 and stamp, as it was read; of the sound cases.
        label_sets: label version -> sound case -> sha256 of its labels, for the label sets of a study.
        groups: sound case -> its group, such as its patient; without the cases that dataset.yaml names none of.
    """

    name: str
    labels: dict[int, str]
    cases: tuple[str, ...]
    checks: Mapping[str, CaseCheck]
    excluded: Mapping[str, str]
    warnings: tuple[str, ...]
    files: Mapping[str, list[Any]] = field(default_factory=dict)
    label_sets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)

    @property
    def kept_together(self) -> list[tuple[str, ...]]:
        """Sound cases that a split keeps on one side: those that are one scan, and those of a group of dataset.yaml."""
        return join_groups([*self.twins, *group_equal({case: self.groups.get(case) for case in self.cases})])

    @property
    def observations(self) -> dict[str, str]:
        """Case -> the first of those that it is kept together with, of cases that are: they are one observation."""
        return {case: together[0] for together in self.kept_together for case in together}

    @property
    def twins(self) -> list[tuple[str, ...]]:
        """Groups of sound cases that are one scan."""
        return _find_twins({case: self.checks[case] for case in self.cases})

    @property
    def set_aside(self) -> dict[str, list[str]]:
        """Case with errors -> its errors."""
        return {case: list(check.errors) for case, check in self.checks.items() if check.errors}

    def covered(self, *versions: str) -> tuple[str, ...]:
        """The sound cases that have labels in each of these label versions; only label sets may lack some."""
        sets = [self.label_sets[version] for version in versions if version in self.label_sets]
        return tuple(case for case in self.cases if all(case in labels for labels in sets))

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
    stamps = {case: stamp_case(dataset, case) for case in cases}
    # A case with errors is read again: a full memory or a failing disk may have been the reason.
    checks = {c: cached[c][1] for c in cases if c in cached and cached[c][0] == stamps[c] and not cached[c][1].errors}
    todo = {case: _find_earlier(cached.get(case), stamps[case]) for case in cases if case not in checks}
    show_progress(len(checks), len(cases))
    for case, check in _check_cases(dataset, todo):
        checks[case] = check
        show_progress(len(checks), len(cases))
    checks = dict(sorted(checks.items()))
    if cache is not None and todo:
        atomic.write_text(cache, json.dumps({case: [stamps[case], asdict(check)] for case, check in checks.items()}))
    return gather_checks(dataset, checks, stamps, excluded)


def gather_checks(
    dataset: Dataset, checks: Mapping[str, CaseCheck], stamps: Mapping[str, list[Any]], excluded: Mapping[str, str]
) -> DatasetCheck:
    """Put the checks of all cases together, with what only shows in all of them.

    Args:
        dataset: whose cases.
        checks: case -> its check, of all cases that are not excluded.
        stamps: case -> its `stamp_case`, taken before it was read.
        excluded: case -> reason.
    """
    checks = dict(checks)
    for case, errors in find_name_errors(dataset, list(checks), excluded).items():
        earlier = checks.get(case, CaseCheck((), ()))
        checks[case] = replace(earlier, errors=merge_errors(dataset, case, errors, earlier.errors))
    checks = dict(sorted(checks.items()))
    sound = tuple(case for case, check in checks.items() if not check.errors)
    return DatasetCheck(
        name=dataset.name,
        labels=dataset.labels,
        cases=sound,
        checks=checks,
        excluded=dict(sorted(excluded.items())),
        warnings=tuple(_dataset_warnings(dataset, checks, excluded)),
        files=_mark_files(dataset, {case: checks[case] for case in sound}, stamps),
        groups={case: group for case, group in dataset.description.groups.items() if case in sound},
    )


def check_case(dataset: Dataset, case: str, look: Look = lambda image, labels: None) -> CaseCheck:
    """Read one case's image and label map, and list its errors and warnings.

    Args:
        dataset: the dataset.
        case: its name.
        look: called once with what was read of a case without errors, so that nobody reads it a second time.
    """
    try:
        image = read_image(dataset.image(case))
    except CaseError as error:
        return CaseCheck(errors=(str(error),), warnings=())
    warnings = [*image.notes, *describe_voxels(image, dataset.image(case))]
    digests: dict[str, Any] = {
        "image_sha256": image.sha256,
        "values_sha256": values_digest(image.array),
        "scan_print": scan_print(image.array),
    }
    if not dataset.labels:
        look(image, None)
        return CaseCheck(errors=(), warnings=tuple(warnings), **digests)
    try:
        labels = read_labels(dataset.label(case), image, dataset.labels)
    except CaseError as error:
        return CaseCheck(errors=(str(error),), warnings=tuple(warnings), **digests)
    organs = tuple(int(i) for i in np.unique(labels) if i)
    if not organs:
        warnings.append("no organ is labelled; scores follow the convention for empty masks")
    digests["labels_sha256"] = records.file_sha256(dataset.label(case))
    look(image, labels)
    return CaseCheck(errors=(), warnings=tuple(warnings), organs=organs, **digests)


def find_shared_scans(dataset: DatasetCheck, other: DatasetCheck) -> dict[str, str]:
    """Sound cases of a dataset whose scan another one has too -> its case there; none of a dataset and itself."""
    if dataset is other:
        return {}
    scans = {other.checks[case].values_sha256: case for case in reversed(other.cases)}
    values = {case: dataset.checks[case].values_sha256 for case in dataset.cases}
    equal = {case: scans[value] for case, value in values.items() if value is not None and value in scans}
    prints, others = ({case: of.checks[case].scan_print for case in of.cases} for of in (dataset, other))
    return dict(sorted({**find_in_others(prints, others), **equal}.items()))


def _find_twins(checks: Mapping[str, CaseCheck]) -> list[tuple[str, ...]]:
    """Groups of cases that are one scan, by their values or by what is left of them in a cropped or rescaled copy."""
    equal = group_equal({case: check.values_sha256 for case, check in checks.items()})
    return join_groups([*equal, *match_prints({case: check.scan_print for case, check in checks.items()})])


def _check_cases(dataset: Dataset, cases: Mapping[str, CaseCheck | None]) -> Iterable[tuple[str, CaseCheck]]:
    """Check cases; those that were checked before, with other stamps, only where their bytes differ."""
    few = len(cases) <= FEW_CASES
    workers = 1 if few else count_processes(max(announced_bytes(dataset, case) for case in cases), len(cases))
    tasks = [(dataset.image(case), dataset, case, earlier) for case, earlier in cases.items()]
    checks = map_cases(_check_named, tasks, workers, "forkserver")
    for case, check in zip(cases, checks, strict=True):
        yield case, CaseCheck(errors=(str(check),), warnings=()) if isinstance(check, CaseError) else check


def _check_again(dataset: Dataset, case: str, earlier: CaseCheck | None) -> CaseCheck:
    """The earlier check of a case if its files have the same bytes, else a new one."""
    files = (dataset.image(case), *([dataset.label(case)] if dataset.labels else []))
    if earlier is not None and not earlier.errors and not any(map(describe_kind, files)):
        try:
            image = records.file_sha256(dataset.image(case))
            labels = records.file_sha256(dataset.label(case)) if dataset.labels else None
        except OSError:
            return check_case(dataset, case)
        if (image, labels) == (earlier.image_sha256, earlier.labels_sha256):
            return earlier
    return check_case(dataset, case)


def _find_earlier(cached: tuple[list[Any], CaseCheck] | None, stamp: list[Any]) -> CaseCheck | None:
    """A check of other stamps that still counts if the bytes are the same."""
    return cached[1] if cached and cached[0][:2] == stamp[:2] else None


def _mark_files(
    dataset: Dataset, checks: Mapping[str, CaseCheck], stamps: Mapping[str, list[Any]]
) -> dict[str, list[Any]]:
    """File below the dataset's folder -> sha256 and stamp."""
    files = {}
    for case, check in checks.items():
        image, labels = stamps[case][2:]
        files[f"images/{case}{SUFFIX}"] = [check.image_sha256, image]
        if check.labels_sha256:
            files[f"labels/{case}{SUFFIX}"] = [check.labels_sha256, labels]
    return files


def _check_named(image: Path, dataset: Dataset, case: str, earlier: CaseCheck | None) -> CaseCheck:
    return _check_again(dataset, case, earlier)


def announced_bytes(dataset: Dataset, case: str) -> int:
    """Memory that reading a case takes: its image twice, and its label map."""
    try:
        header = read_header(dataset.image(case))
    except CaseError:
        return 0
    return 2 * header.size + 4 * header.voxels


def _dataset_warnings(dataset: Dataset, checks: Mapping[str, CaseCheck], excluded: Mapping[str, str]) -> list[str]:
    warnings = find_name_warnings(dataset, [case for case in checks if dataset.image(case).exists()])
    images = {*case_names(dataset.folder / "images"), *(i.case for i in list_passed_over(dataset.folder / "images"))}
    for what, named in (("excluded cases", set(excluded)), ("cases of `groups`", set(dataset.description.groups))):
        if unknown := sorted(named - images):
            warnings.append(f"{what} that do not exist: {', '.join(unknown)}")
    present = {label for check in checks.values() for label in check.organs}
    absent = [organ for label, organ in dataset.labels.items() if label not in present]
    if absent and present:
        warnings.append(f"organs that occur in no case: {', '.join(absent)}")
    warnings += [
        f"cases with the same scan: {', '.join(same)}; a split keeps them on one side" for same in _find_twins(checks)
    ]
    return warnings


def stamp_case(dataset: Dataset, case: str) -> list[Any]:
    """Version, label ids, stamps of image and labels: while these stay the same, a cached check is valid."""
    return [CHECK_VERSION, sorted(dataset.labels), take_stamp(dataset.image(case)), take_stamp(dataset.label(case))]


def _read_cache(cache: Path | None) -> dict[str, tuple[list[Any], CaseCheck]]:
    return (statefiles.read(cache, _parse_cache) if cache else None) or {}


def _parse_cache(content: bytes) -> dict[str, tuple[list[Any], CaseCheck]]:
    return {
        case: (list(stamp), _parse_check(check)) for case, (stamp, check) in statefiles.parse_mapping(content).items()
    }


def _parse_check(content: Mapping[str, Any]) -> CaseCheck:
    """The check of a case; every value has the type that was written."""
    check = CaseCheck(**{**content, **{name: tuple(content[name]) for name in TUPLES}})
    digests = (check.image_sha256, check.labels_sha256, check.values_sha256)
    texts = (*check.errors, *check.warnings, *check.scan_print, *(sha256 for sha256 in digests if sha256 is not None))
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(organ, int) for organ in check.organs):
        raise ValueError("a case's check holds values of other types")
    return check
