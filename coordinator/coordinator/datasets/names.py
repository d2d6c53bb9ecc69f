"""What is wrong with the names of a dataset's files: those that are passed over, and those that nearly fit.

c.nii  b.NII.GZ              a case that can't be used, since its file ends otherwise
d_0000.nii.gz, d.nii.gz      an image and labels that are nearly called the same
A.nii.gz, a.nii.gz           cases that another filesystem can't tell apart
.DS_Store, notes.txt         passed over
"""

import os
from collections.abc import Collection, Iterable, Mapping

from contract.casenames import describe_passed_over, find_near_miss, find_twins, list_passed_over
from contract.datasets import SUFFIX, Dataset, case_names


def find_name_errors(dataset: Dataset, cases: Collection[str], excluded: Collection[str]) -> dict[str, list[str]]:
    """Case -> what is wrong with the names of its files; cases with sound names are not in it.

    Args:
        dataset: whose files.
        cases: all that have an image and are not excluded.
        excluded: cases that are left out.
    """
    folder = dataset.folder / "images"
    errors: dict[str, list[str]] = {}
    for case, near in _find_near_misses(dataset, cases).items():
        errors[case] = [
            f"{dataset.label(case)}: labels must be called as the image, but there is only {near[0]}, which differs "
            f"{near[1]}; give both one name"
        ]
    for case, reason in find_twins(cases).items():
        errors.setdefault(case, []).append(f"{dataset.image(case)}: {reason}")
    for item in list_passed_over(folder):
        if item.case is not None and item.case not in excluded:
            errors.setdefault(item.case, []).append(f"{folder / item.file}: {item.why}")
    return errors


def find_name_warnings(dataset: Dataset, cases: Collection[str]) -> list[str]:
    """Labels without an image, and every other file that is passed over, with the reason."""
    images, labels = dataset.folder / "images", dataset.folder / "labels"
    nearly = {file for file, _ in _find_near_misses(dataset, cases).values()}
    others = list_passed_over(images)
    known = {*case_names(images), *(item.case for item in others)}
    orphans = [case for case in case_names(labels) if case not in known and f"{case}{SUFFIX}" not in nearly]
    return [
        *([f"labels without an image: {', '.join(orphans)}"] if orphans else []),
        *describe_passed_over(images, [item for item in others if item.case is None]),
        *describe_passed_over(labels, [item for item in list_passed_over(labels) if item.file not in nearly]),
    ]


def merge_errors(dataset: Dataset, case: str, of_names: Iterable[str], of_files: Iterable[str]) -> tuple[str, ...]:
    """All errors of a case; that a file is missing is not said twice."""
    missing = f"{dataset.label(case)}:"
    kept = [error for error in of_files if not (error.startswith(missing) and not os.path.lexists(dataset.label(case)))]
    return (*of_names, *kept)


def _find_near_misses(dataset: Dataset, cases: Collection[str]) -> Mapping[str, tuple[str, str]]:
    """Case without labels -> the file that is nearly called so, and what differs."""
    if not dataset.labels:
        return {}
    images = set(case_names(dataset.folder / "images"))
    lonely = [case for case in cases if not os.path.lexists(dataset.label(case))]
    found = {case: find_near_miss(dataset.folder / "labels", case, images) for case in lonely}
    return {case: near for case, near in found.items() if near is not None}
