"""One case of the audit: read once, checked, and measured."""

from dataclasses import dataclass
from pathlib import Path

from contract.datasets import Dataset
from contract.errors import CaseError
from contract.labelmaps import LabelMap
from contract.volumes import Volume
from coordinator.datasets.audit.anatomy.organs import CaseOrgans, measure_organs
from coordinator.datasets.audit.files.casefiles import FileMeasures, measure_files
from coordinator.datasets.check import CaseCheck, check_case


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is known of a case when it has been read; judged later, beside the other cases.

    Attributes:
        check: its errors and warnings.
        files: measures of its files and voxels; None where they can't be used.
        organs: measures of its labels; None where it has none that can be used.
    """

    check: CaseCheck
    files: FileMeasures | None = None
    organs: CaseOrgans | None = None


def inspect_case(image: Path, dataset: Dataset, case: str) -> Inspection:
    """Read a case and measure it.

    Args:
        image: its file, which a failure is told with.
        dataset: the dataset.
        case: its name.
    """
    measured: list[tuple[FileMeasures, CaseOrgans | None]] = []

    def look(volume: Volume, labels: LabelMap | None) -> None:
        organs = None if labels is None else measure_organs(labels, volume, dataset.labels)
        labels_path = None if labels is None else dataset.label(case)
        measured.append((measure_files(volume, image, labels_path, labels), organs))

    try:
        check = check_case(dataset, case, look)
    except CaseError as error:  # a file that changed meanwhile
        return Inspection(CaseCheck((str(error),), ()))
    return Inspection(check, *measured[0]) if measured else Inspection(check)
