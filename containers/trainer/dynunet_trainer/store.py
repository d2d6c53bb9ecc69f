"""What lies on disk between the steps, and how it is read.

image store   plan.json  images/<case>.npy                                 one for all label versions
label store   channels.json  missing.json  <case>.npy  foreground/<case>.npy   one a label version

images      int16, 1/8 HU, RAS
labels      uint8 channels of the network: 0 background, then 1, 2, … for the dataset's label ids in ascending order
foreground  (N, 2) int32, channel and flat voxel index, ascending: where patches around foreground are centred

Plain .npy files: training maps them into memory and reads only the voxels of a patch, and all that train on one machine
share what the system has cached.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.errors import UsageError
from contract.grids import Grid
from dynunet_trainer.plan import Plan, Triple, plan_from

PLAN, CHANNELS, MISSING = "plan.json", "channels.json", "missing.json"
IMAGES, FOREGROUND = "images", "foreground"


@dataclass(frozen=True, slots=True)
class StoredCase:
    """Where a stored image came from.

    Attributes:
        shape: of the stored array.
        image_shape: of the image, turned to RAS+.
        image_affine: (4, 4) of the image, turned to RAS+: voxel index -> RAS mm.
    """

    shape: Triple
    image_shape: Triple
    image_affine: list[list[float]]

    @property
    def grid(self) -> Grid:
        """The image's grid, on which its labels lie."""
        return Grid(self.image_shape, np.array(self.image_affine))


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of stored images, and what its `plan.json` says."""

    folder: Path
    plan: Plan
    cases: Mapping[str, StoredCase]

    def image(self, case: str) -> NDArray[np.int16]:
        """(X, Y, Z) voxels in 1/8 HU, mapped into memory."""
        return mapped(self.folder / IMAGES / f"{case}.npy")


@dataclass(frozen=True, slots=True)
class LabelStore:
    """A folder of one version's labels on the voxels of an image store."""

    folder: Path
    organs: Mapping[int, str]
    missing: tuple[str, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """Label id of each channel of the network; the first is the background's 0."""
        return (0, *self.organs)

    def labels(self, case: str) -> NDArray[np.uint8]:
        """(X, Y, Z) channels, mapped into memory."""
        return mapped(self.folder / f"{case}.npy")

    def foreground(self, case: str) -> NDArray[np.int32]:
        """(N, 2) channel and flat voxel index, mapped into memory."""
        return mapped(self.folder / FOREGROUND / f"{case}.npy")


def open_store(folder: Path) -> Store:
    """Read the result of `prepare`.

    Raises:
        UsageError: it is none.
    """
    content = _read_json(folder / PLAN, "prepare")
    cases = {
        name: StoredCase(tuple(case["shape"]), tuple(case["image_shape"]), case["image_affine"])
        for name, case in content["cases"].items()
    }
    return Store(folder, plan_from(content["plan"]), cases)


def open_label_store(folder: Path) -> LabelStore:
    """Read the result of `prepare-labels`.

    Raises:
        UsageError: it is none.
    """
    channels = _read_json(folder / CHANNELS, "prepare-labels")
    missing = _read_json(folder / MISSING, "prepare-labels")
    return LabelStore(folder, {channel["id"]: channel["organ"] for channel in channels}, tuple(missing))


def mapped(file: Path) -> NDArray[Any]:
    """An array that is read from disk only where it is used.

    Raises:
        UsageError: missing or damaged.
    """
    try:
        return np.load(file, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: must be a whole array, but: {error}; make the store again") from None


def _read_json(file: Path, step: str) -> Any:  # noqa: ANN401 - our own files
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UsageError(f"{file}: must be what step {step} wrote, but cannot be read; mount its results") from None
