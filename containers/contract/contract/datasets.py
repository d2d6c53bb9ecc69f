"""A dataset folder: what it is called, which label id is which organ, which cases it has.

NAME/dataset.yaml
NAME/images/<case>.nii.gz
NAME/labels/<case>.nii.gz
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from contract import yamlfiles
from contract.casenames import SUFFIX, case_names, describe_passed_over
from contract.errors import UsageError
from contract.labeltables import LabelTable

__all__ = [
    "SUFFIX", "Dataset", "DatasetDescription", "case_names", "name_problem", "open_dataset", "refuse_dataset_folder",
]  # fmt: skip

DESCRIPTION = "dataset.yaml"
NAME = r"^[a-z0-9][a-z0-9_.-]{0,99}$"
"""Of a dataset: it names folders on every filesystem."""


class DatasetDescription(yamlfiles.Strict):
    """`dataset.yaml`."""

    name: str = Field(pattern=NAME, description="the folder's name")
    modality: str = Field(default="CT", pattern="^CT$")
    licence: str = ""
    citation: str = ""
    source: str = ""
    labels: LabelTable = Field(default_factory=dict, description="label id -> organ; 0 is background")
    exclude: dict[str, str] = Field(default_factory=dict, description="case -> why it is left out")
    groups: dict[str, yamlfiles.Line] = Field(
        default_factory=dict, description="case -> its patient, or whatever else cases have in common"
    )

    @field_validator("labels")
    @classmethod
    def _sort_labels(cls, labels: dict[int, str]) -> dict[int, str]:
        return {i: name for i, name in sorted(labels.items()) if i != 0}

    @field_validator("groups", mode="before")
    @classmethod
    def _name_groups(cls, groups: Any) -> Any:  # noqa: ANN401 - before validation it may be anything
        if not isinstance(groups, dict):
            return groups
        return {case: str(group) if type(group) is int else group for case, group in groups.items()}

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
    file = folder / DESCRIPTION
    if not file.is_file():
        datasets = sorted(path.parent.name for path in data.glob(f"*/{DESCRIPTION}"))
        raise UsageError(f"{file}: no dataset {name!r} in {data}; {yamlfiles.did_you_mean(name, datasets)}")
    description = yamlfiles.load(file, DatasetDescription)
    if description.name != name:
        raise UsageError(f"{file}: name must be the folder's, {name!r}, but it is {description.name!r}")
    dataset = Dataset(folder, description)
    if not dataset.cases():
        others = "".join(f"\n  {line}" for line in describe_passed_over(folder / "images"))
        raise UsageError(
            f"{folder / 'images'}: must hold at least one <case>{SUFFIX} that is not excluded, but has none{others}"
        )
    return dataset


def name_problem(name: str) -> str | None:
    """Why no dataset can have a name; None for a sound one."""
    if re.fullmatch(NAME.strip("^$"), name):
        return None
    return (
        "a dataset's name must be lower-case letters, digits, dashes, dots and underscores, at most 100 of them, and "
        f"begin with a letter or digit, but it is {name!r}"
    )


def refuse_dataset_folder(path: Path, *datasets: Path) -> None:
    """Refuse a place to write to that is, or lies in, a dataset folder: nothing is ever written there.

    Args:
        path: of a file or folder that is to be made or changed; it need not exist.
        datasets: dataset folders that are known, whose images and labels may be links to other places.

    Raises:
        UsageError: it lies below a folder that holds a dataset.yaml, as it is written or with links resolved, or where
            the images or labels of one of `datasets` really are.
    """
    real = Path(os.path.realpath(path))
    places = [real, Path(os.path.abspath(path))]  # noqa: PTH100 - `resolve` would follow links
    folders = [folder for place in places for folder in (place, *place.parents) if _is_dataset(folder)]
    for part in (dataset / kind for dataset in datasets for kind in ("images", "labels")):
        if real.is_relative_to(os.path.realpath(part)):
            folders.append(part)
    if folders:
        raise UsageError(
            f"{path}: nothing is ever written into a dataset folder, but this is or lies in {folders[0]}; "
            "choose another place"
        )


def _is_dataset(folder: Path) -> bool:
    return os.path.lexists(folder / DESCRIPTION)
