"""Datasets of phantoms with different fields of view, the audit of their files, and reading and writing their voxels."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from contract.datasets import DESCRIPTION, Dataset, DatasetDescription
from contract.grids import Grid
from contract.volumes import read_image, read_labels
from contract.yamlfiles import load
from coordinator.datasets.anatomy import LABELS, draw_case
from coordinator.datasets.audit.checks import judge_checks
from coordinator.datasets.audit.duplicates import judge_duplicates
from coordinator.datasets.audit.files.casefiles import FileMeasures, judge_files, measure_files
from coordinator.datasets.audit.findings import Finding, sort_findings
from coordinator.datasets.check import DatasetCheck, check_dataset

FIELDS = {
    "default": ((64, 54, 16), (4.8, 4.74, 9.0)),
    "long": ((56, 46, 40), (5.5, 5.5, 9.0)),
    "narrow": ((52, 44, 24), (4.0, 4.0, 5.0)),
}
"""Name of a field of view -> voxels and spacing in mm; the narrow one cuts the body at the sides."""
CASES = tuple("abcdef")
PLANTED = "c"


@dataclass
class Case:
    """A case in memory, that a test changes before it is written.

    Attributes:
        image: (X, Y, Z) HU.
        labels: (X, Y, Z) label ids.
        affine: (4, 4) voxel -> RAS mm, of both.
    """

    image: NDArray[Any]
    labels: NDArray[Any]
    affine: NDArray[np.float64]


Spoil = Callable[[Dataset], object]
Change = Callable[[Case], Spoil | None]


@cache
def _draw(field: str, case: str) -> Case:
    shape, spacing_mm = FIELDS[field]
    random = np.random.default_rng([ord(case), len(field)])
    affine = np.diag([*(np.array(spacing_mm) * random.uniform(0.96, 1.04)), 1])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    image, labels = draw_case(random, Grid(shape, affine))
    return Case(image, labels, affine)


def draw(field: str, case: str) -> Case:
    """A phantom patient that a test may change."""
    drawn = _draw(field, case)
    return Case(drawn.image.copy(), drawn.labels.copy(), drawn.affine.copy())


def save(path: Path, array: NDArray[Any], affine: NDArray[np.float64]) -> None:
    """Write a NIfTI file as it is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(array, affine, dtype=array.dtype)
    image.header.set_xyzt_units("mm")
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    nib.save(image, path)


def write_case(dataset: Dataset, name: str, case: Case) -> None:
    """Write a case's files into a dataset folder, in the place of those that are there."""
    for path, array in ((dataset.image(name), case.image), (dataset.label(name), case.labels)):
        path.unlink(missing_ok=True)  # it may be a link
        save(path, array, case.affine)


def make_folder(root: Path) -> Dataset:
    """A dataset folder without cases."""
    for part in ("images", "labels"):
        (root / part).mkdir(parents=True)
    table = "".join(f"  {i}: {organ}\n" for i, organ in LABELS.items())
    (root / DESCRIPTION).write_text(f"name: {root.name}\nlabels:\n{table}")
    return Dataset(root, load(root / DESCRIPTION, DatasetDescription))


def make_dataset(root: Path, field: str, cases: Sequence[str] = CASES) -> Dataset:
    """A dataset of phantoms of one field of view."""
    dataset = make_folder(root)
    for case in cases:
        write_case(dataset, case, draw(field, case))
    return dataset


def measure(dataset: Dataset, cases: Iterable[str]) -> dict[str, FileMeasures]:
    """Case -> measures of its files."""
    measures = {}
    for case in cases:
        image, path = read_image(dataset.image(case)), dataset.label(case) if dataset.labels else None
        labels = read_labels(path, image) if path else None
        measures[case] = measure_files(image, dataset.image(case), path, labels)
    return measures


def audit_files(dataset: Dataset, others: Sequence[Dataset] = ()) -> list[Finding]:
    """All findings on files, grids, intensities and duplicates."""
    check = check_dataset(dataset)
    return _judge(check, measure(dataset, check.cases), [check_dataset(other) for other in others])


def _judge(
    check: DatasetCheck, measures: Mapping[str, FileMeasures], others: Sequence[DatasetCheck] = ()
) -> list[Finding]:
    return sort_findings([*judge_checks(check), *judge_files(measures), *judge_duplicates(check, others)])


@dataclass(frozen=True)
class Clean:
    """A sound dataset that is read once, so that a copy with one other case is audited fast.

    Attributes:
        dataset: whose folder it is.
        field: of view of its phantoms.
        measures: case -> its measures.
        cache: of its check.
    """

    dataset: Dataset
    field: str
    measures: Mapping[str, FileMeasures]
    cache: Path

    @classmethod
    def make(cls, root: Path, field: str) -> "Clean":
        """Make the dataset, and read it."""
        dataset, cache = make_dataset(root, field), root.with_suffix(".json")
        check = check_dataset(dataset, cache=cache)
        return cls(dataset, field, measure(dataset, check.cases), cache)

    def audit_with(self, root: Path, change: Change) -> list[Finding]:
        """All findings on a copy of the dataset whose case `PLANTED` was changed.

        Args:
            root: of the copy, to make.
            change: changes the case in memory and returns None, or what to do with the files once they are written.
        """
        copy, case = make_folder(root), draw(self.field, PLANTED)
        for name in CASES:
            for original, link in ((self.dataset.image, copy.image), (self.dataset.label, copy.label)):
                link(name).symlink_to(original(name))
        spoil = change(case)
        write_case(copy, PLANTED, case)
        if spoil is not None:
            spoil(copy)
        cache = root.with_suffix(".json")
        cache.write_bytes(self.cache.read_bytes())
        check = check_dataset(copy, cache=cache)
        known = {name: of_case for name, of_case in self.measures.items() if name != PLANTED and name in check.cases}
        changed = [name for name in check.cases if name not in known]
        return _judge(check, {**known, **measure(copy, changed)})


def kinds(findings: Iterable[Finding]) -> set[tuple[str, str]]:
    """Kind and case of each finding."""
    return {(finding.kind, finding.case) for finding in findings}
