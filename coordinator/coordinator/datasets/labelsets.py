"""Checks label sets: labels that people drew or corrected, beside a dataset's own, of all its cases or of some."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from contract import atomic, records, statefiles
from contract.casenames import describe_passed_over
from contract.datasets import SUFFIX, Dataset, case_names
from contract.errors import CaseError, UsageError
from contract.processes import count_processes, map_cases
from contract.stamps import take_stamp
from contract.volumes import read_grid, read_header, read_labels
from coordinator.datasets.check import FEW_CASES, DatasetCheck

CHECK_VERSION = 1
"""Raise it when the check changes, so that files are checked again."""


@dataclass(frozen=True, slots=True)
class LabelSetCheck:
    """The result of checking a label set.

    Attributes:
        place: its folder, relative to the dataset's.
        labels_sha256: case -> sha256 of its labels, for each sound case that the set covers.
        errors: case -> why its labels can't be used.
        warnings: about the set as a whole.
        files: file, relative to the dataset's folder -> its sha256 and stamp, as it was read.
    """

    place: str
    labels_sha256: Mapping[str, str]
    errors: Mapping[str, str]
    warnings: tuple[str, ...]
    files: Mapping[str, list[Any]]


def check_label_set(
    dataset: Dataset, cases: Collection[str], place: str, ids: Collection[int], cache: Path
) -> LabelSetCheck:
    """Read the labels that a set has of a dataset's cases.

    Args:
        dataset: the dataset; nothing is written to it or to the set.
        cases: its sound cases.
        place: folder of the set, relative to the dataset's.
        ids: that may occur beside 0.
        cache: file that keeps the results, so that only changed files are read again.

    Raises:
        UsageError: there is no such folder, or it holds labels of no case.
    """
    folder = dataset.folder / place
    if not folder.is_dir():
        raise UsageError(
            f"{folder}: a label set must be a folder of <case>{SUFFIX}, but there is none; check `labels:`"
        )
    present = case_names(folder)
    covered = sorted(set(cases).intersection(present))
    if not covered:
        raise UsageError(
            f"{folder}: must hold labels of a case of {dataset.name}, such as {sorted(cases)[0]}{SUFFIX}, but has none"
            f"{''.join(f'{chr(10)}  {line}' for line in describe_passed_over(folder))}"
        )
    stamps = {
        case: [CHECK_VERSION, sorted(ids), take_stamp(dataset.image(case)), take_stamp(folder / f"{case}{SUFFIX}")]
        for case in covered
    }
    sums, errors = _check_files(dataset, folder, stamps, ids, cache)
    if not sums:
        raise UsageError(
            f"{folder}: none of its {len(covered)} label maps can be used; the first: {errors[covered[0]]}"
        )
    others = sorted(set(present) - set(dataset.cases()) - set(dataset.description.exclude))
    return LabelSetCheck(
        place=place,
        labels_sha256=dict(sorted(sums.items())),
        errors=errors,
        warnings=(
            *([f"{place}: labels of no case of {dataset.name}: {', '.join(others)}"] if others else []),
            *describe_passed_over(folder),
        ),
        files={f"{place}/{case}{SUFFIX}": [sha256, stamps[case][3]] for case, sha256 in sorted(sums.items())},
    )


def add_label_sets(check: DatasetCheck, sets: Mapping[str, LabelSetCheck]) -> DatasetCheck:
    """The check of a dataset with that of its label sets: a case with an error in any of them is set aside.

    Args:
        check: of the dataset.
        sets: label version -> its check.
    """
    checks = dict(check.checks)
    for labels in sets.values():
        for case, error in labels.errors.items():
            checks[case] = replace(checks[case], errors=(*checks[case].errors, error))
    sound = tuple(case for case in check.cases if not checks[case].errors)
    places = {f"{place}/{case}{SUFFIX}" for case in sound for place in ("images", "labels")}
    files = {file: mark for file, mark in check.files.items() if file in places}
    for labels in sets.values():
        files |= {f: mark for f, mark in labels.files.items() if Path(f).name.removesuffix(SUFFIX) in sound}
    return replace(
        check,
        cases=sound,
        checks=checks,
        files=files,
        warnings=(*check.warnings, *(f"{name}: {w}" for name, labels in sets.items() for w in labels.warnings)),
        label_sets={
            name: {case: sha256 for case, sha256 in labels.labels_sha256.items() if case in sound}
            for name, labels in sets.items()
        },
    )


def _check_files(
    dataset: Dataset, folder: Path, stamps: Mapping[str, list[Any]], ids: Collection[int], cache: Path
) -> tuple[dict[str, str], dict[str, str]]:
    """Read the files whose stamps are not in the cache; returns case -> sha256, and case -> what is wrong."""
    sums = {case: sha256 for case, (stamp, sha256) in _read_cache(cache).items() if stamps.get(case) == stamp}
    todo = [case for case in stamps if case not in sums]
    errors: dict[str, str] = {}
    for case, result in zip(todo, _read_all(dataset, folder, todo, ids), strict=True):
        if isinstance(result, CaseError):
            errors[case] = str(result)
        else:
            sums[case] = result
    if todo:
        atomic.write_text(cache, json.dumps({case: [stamps[case], sums[case]] for case in sorted(sums)}))
    return sums, errors


def _read_all(
    dataset: Dataset, folder: Path, cases: Collection[str], ids: Collection[int]
) -> Iterator[str | CaseError]:
    """The sha256 of each case's labels, or what is wrong with them."""
    few = len(cases) <= FEW_CASES
    workers = 1 if few else count_processes(max(_announced_bytes(dataset, case) for case in cases), len(cases))
    tasks = [(folder / f"{case}{SUFFIX}", dataset.image(case), frozenset(ids)) for case in cases]
    yield from map_cases(_read_one, tasks, workers, "forkserver")


def _read_one(labels: Path, image: Path, ids: Collection[int]) -> str | CaseError:
    try:
        read_labels(labels, read_grid(image), ids)
    except CaseError as error:
        return error
    return records.file_sha256(labels)


def _announced_bytes(dataset: Dataset, case: str) -> int:
    """Memory that reading labels takes."""
    try:
        return 4 * read_header(dataset.image(case)).voxels
    except CaseError:
        return 0


def _read_cache(cache: Path) -> dict[str, tuple[list[Any], str]]:
    return statefiles.read(cache, _parse_cache) or {}


def _parse_cache(content: bytes) -> dict[str, tuple[list[Any], str]]:
    kept = {case: (list(stamp), sha256) for case, (stamp, sha256) in statefiles.parse_mapping(content).items()}
    if not all(isinstance(sha256, str) for _, sha256 in kept.values()):
        raise ValueError("it holds values of other types")
    return kept
