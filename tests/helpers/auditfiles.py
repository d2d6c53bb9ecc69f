"""Datasets of phantoms with different fields of view, the audit of their files, and reading and writing their voxels."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from contract.datasets import Dataset, open_dataset
from contract.grids import Grid
from contract.volumes import read_image, read_labels
from coordinator.datasets.anatomy import LABELS, draw_case
from coordinator.datasets.audit.checks import judge_checks
from coordinator.datasets.audit.duplicates import judge_duplicates
from coordinator.datasets.audit.files import FileMeasures, judge_files, measure_files
from coordinator.datasets.audit.findings import Finding, sort_findings
from coordinator.datasets.check import DatasetCheck, check_dataset

FIELDS = {
    "default": ((64, 54, 16), (4.8, 4.74, 9.0)),
    "long": ((56, 46, 40), (5.5, 5.5, 9.0)),
    "narrow": ((52, 44, 24), (4.0, 4.0, 5.0)),
}
"""Name of a field of view -> voxels and spacing in mm; the narrow one cuts the body at the sides."""
CASES = tuple("abcdef")


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
    save(dataset.image(name), case.image, case.affine)
    save(dataset.label(name), case.labels, case.affine)


def make_dataset(folder: Path, field: str, cases: Sequence[str] = CASES, name: str = "audited") -> Dataset:
    """A dataset of phantoms of one field of view."""
    root = folder / name
    root.mkdir(parents=True)
    table = "".join(f"  {i}: {organ}\n" for i, organ in LABELS.items())
    (root / "dataset.yaml").write_text(f"name: {name}\nlabels:\n{table}")
    (root / "images").mkdir()
    (root / "labels").mkdir()
    dataset = open_dataset_of(root)
    for case in cases:
        write_case(dataset, case, draw(field, case))
    return dataset


def open_dataset_of(root: Path) -> Dataset:
    """A dataset folder that may still be without images."""
    from contract.datasets import DESCRIPTION, DatasetDescription
    from contract.yamlfiles import load

    return Dataset(root, load(root / DESCRIPTION, DatasetDescription))


def measure(dataset: Dataset, check: DatasetCheck) -> dict[str, FileMeasures]:
    """Measures of the sound cases."""
    measures = {}
    for case in check.cases:
        image = read_image(dataset.image(case))
        labels = read_labels(dataset.label(case), image) if dataset.labels else None
        path = dataset.label(case) if dataset.labels else None
        measures[case] = measure_files(image, dataset.image(case), path, labels)
    return measures


def audit_files(dataset: Dataset, others: Sequence[Dataset] = ()) -> list[Finding]:
    """All findings on files, grids, intensities and duplicates."""
    check = check_dataset(dataset)
    return sort_findings(
        [
            *judge_checks(check),
            *judge_files(measure(dataset, check)),
            *judge_duplicates(check, [check_dataset(other) for other in others]),
        ]
    )


def kinds(findings: Sequence[Finding]) -> set[tuple[str, str]]:
    """Kind and case of each finding."""
    return {(finding.kind, finding.case) for finding in findings}


__all__ = ["CASES", "FIELDS", "Case", "audit_files", "draw", "kinds", "make_dataset", "measure", "open_dataset",
           "save", "write_case"]  # fmt: skip
