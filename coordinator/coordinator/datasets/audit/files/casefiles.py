"""The audit's part on files, grids and intensities: measures of one case, and the findings on all.

case ──► headers, intensities, slices, body, organs ──► FileMeasures
FileMeasures of all cases ──► findings of each part ──► what most cases share is told once, for the dataset
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contract.labelmaps import MOST_ID, LabelMap
from contract.volumes import Volume
from coordinator.datasets.audit.files.bodies import BodyMeasures, judge_bodies, measure_body
from coordinator.datasets.audit.files.headers import HeaderMeasures, judge_headers, measure_headers
from coordinator.datasets.audit.files.intensities import IntensityMeasures, judge_intensities, measure_intensities
from coordinator.datasets.audit.files.slices import SliceMeasures, judge_slices, measure_slices
from coordinator.datasets.audit.findings import Finding, Weight
from coordinator.datasets.audit.outliers import gather_usual


@dataclass(frozen=True, slots=True)
class FileMeasures:
    """What the audit keeps of a case's files; plain numbers and texts.

    Attributes:
        name: file name of the image.
        headers: of image and labels.
        intensities: of the image.
        slices: of the image.
        body: in the image; None where there is none.
        organs: how many are labelled; None where the dataset has no labels.
    """

    name: str
    headers: HeaderMeasures
    intensities: IntensityMeasures
    slices: SliceMeasures
    body: BodyMeasures | None
    organs: int | None


def measure_files(image: Volume, image_path: Path, labels_path: Path | None, labels: LabelMap | None) -> FileMeasures:
    """Measure the files of one case.

    Args:
        image: (X, Y, Z) the image, read.
        image_path: its file, for its name.
        labels_path: file of its labels, of which the header is read again; None where there are none.
        labels: (X, Y, Z) label ids on the image's grid; None where there are none.

    Raises:
        CaseError: the header of the labels can't be read.
    """
    return FileMeasures(
        name=image_path.name,
        headers=measure_headers(image, labels_path),
        intensities=measure_intensities(image),
        slices=measure_slices(image),
        body=measure_body(image),
        organs=None if labels is None else _count_organs(labels),
    )


def judge_files(measures: Mapping[str, FileMeasures]) -> list[Finding]:
    """Findings on the files of all cases.

    Args:
        measures: case -> its measures.
    """
    intensities = judge_intensities({case: of_case.intensities for case, of_case in measures.items()})
    not_hu = {finding.case for finding in intensities if finding.weight == Weight.WRONG}
    in_hu = {case: of_case for case, of_case in measures.items() if case not in not_hu}
    findings = [
        *intensities,
        *judge_headers({case: of_case.headers for case, of_case in measures.items()}),
        # Slices are compared, and the body is found, by HU.
        *judge_slices({case: of_case.slices for case, of_case in in_hu.items()}),
        *judge_bodies({case: of_case.body for case, of_case in in_hu.items()}),
        *_judge_single_slices(measures),
        *_judge_organs(measures),
    ]
    return gather_usual(findings, len(measures))


def _count_organs(labels: LabelMap) -> int:
    is_present = np.zeros(MOST_ID + 1, np.bool_)
    for plane in labels:  # one at a time: an index takes eight bytes a voxel
        is_present[plane] = True
    return int(is_present[1:].sum())


def _judge_single_slices(measures: Mapping[str, FileMeasures]) -> Iterable[Finding]:
    for case, of_case in measures.items():
        if 1 in of_case.headers.shape:
            yield Finding(
                "single-slice",
                Weight.SUSPECT,
                f"{of_case.name} is a single slice: its shape is {' x '.join(map(str, of_case.headers.shape))}",
                "exclude the case, or use tools that take single slices",
                case=case,
                number=1.0,
                unit="slices",
            )


def _judge_organs(measures: Mapping[str, FileMeasures]) -> Iterable[Finding]:
    """Findings on cases without a labelled organ; which of several is absent is judged by the organs' places."""
    labelled = {case: of_case.organs for case, of_case in measures.items() if of_case.organs is not None}
    for case, organs in labelled.items():
        if not organs:
            yield Finding(
                "no-organ-labelled",
                Weight.SUSPECT,
                "no organ is labelled",
                "draw the labels, or exclude the case; scores follow the convention for empty masks",
                case=case,
                number=0.0,
                unit="organs",
            )
