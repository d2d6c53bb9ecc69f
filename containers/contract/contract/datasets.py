"""A dataset folder: what it is called, which label id is which organ, which cases it has.

NAME/dataset.yaml
NAME/images/<case>.nii.gz
NAME/labels/<case>.nii.gz
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from contract import yamlfiles
from contract.errors import UsageError
from contract.labeltables import LabelTable

SUFFIX = ".nii.gz"


class DatasetDescription(yamlfiles.Strict):
    """`dataset.yaml`."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=100, description="the folder's name")
    modality: str = Field(default="CT", pattern="^CT$")
    licence: str = ""
    citation: str = ""
    source: str = ""
    labels: LabelTable = Field(default_factory=dict, description="label id -> organ; 0 is background")
    exclude: dict[str, str] = Field(default_factory=dict, description="case -> why it is left out")

    @field_validator("labels")
    @classmethod
    def _sort_labels(cls, labels: dict[int, str]) -> dict[int, str]:
        return {i: name for i, name in sorted(labels.items()) if i != 0}

    @field_validator("exclude", mode="before")
    @classmethod
    def _require_reasons(cls, exclude: Any) -> Any:  # noqa: ANN401 - before validation it may be anything
        if isinstance(exclude, list):
            raise ValueError("must give a reason for each case (`case: reason`), but a list came")  # noqa: TRY004
        return exclude


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset folder on disk."""

    folder: Path
    description: DatasetDescription

    @property
    def name(self) -> str:
        """The dataset's name, which is its folder's."""
        return self.description.name

    @property
    def labels(self) -> dict[int, str]:
        """Label id -> organ, without the background."""
        return self.description.labels

    def image(self, case: str) -> Path:
        """Where a case's image lies."""
        return self.folder / "images" / f"{case}{SUFFIX}"

    def label(self, case: str) -> Path:
        """Where a case's reference labels lie."""
        return self.folder / "labels" / f"{case}{SUFFIX}"

    def cases(self) -> list[str]:
        """Names of all cases that have an image and are not excluded, sorted."""
        return sorted(set(case_names(self.folder / "images")) - set(self.description.exclude))


def open_dataset(data: Path, name: str) -> Dataset:
    """Open a dataset by name.

    Args:
        data: the folder that holds dataset folders.
        name: which one.

    Raises:
        UsageError: no such dataset (the nearest name is given), an unsound dataset.yaml, no images.
    """
    folder = data / name
    file = folder / "dataset.yaml"
    if not file.is_file():
        datasets = sorted(path.parent.name for path in data.glob("*/dataset.yaml"))
        raise UsageError(f"{file}: no dataset {name!r} in {data}; {yamlfiles.did_you_mean(name, datasets)}")
    description = yamlfiles.load(file, DatasetDescription)
    if description.name != name:
        raise UsageError(f"{file}: name must be the folder's, {name!r}, but it is {description.name!r}")
    dataset = Dataset(folder, description)
    if not dataset.cases():
        raise UsageError(
            f"{folder / 'images'}: must hold at least one <case>{SUFFIX} that is not excluded, but has none"
        )
    return dataset


def case_names(folder: Path) -> list[str]:
    """Cases that have a file in a folder, sorted; hidden files, such as parts of an unfinished write, don't count."""
    names = (path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}"))
    return sorted(name for name in names if not name.startswith("."))
