"""The files on disk between the steps, and how they are read.

image store   plan.json  files.json  images/<case>.npy                                    one for all label versions
label store   channels.json  missing.json  files.json  <case>.b2nd  foreground/<case>.npy   one a label version

images      int16, 1/8 HU, RAS
labels      uint8 channels of the network: 0 background, then 1, 2, … for the dataset's label ids in ascending order
foreground  (N, 2) int32, channel and flat voxel index, ascending: where patches around foreground are centred

Images are plain .npy files: training maps them into memory and reads only the voxels of a patch, and all trainings on
one machine share what the system has cached. Labels are stored once a version, so they are compressed in bricks of 64
voxels to a hundredth of that. `files.json` says how many bytes each file has, so that a truncated one is noticed before
an epoch is lost on it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
from numpy.typing import NDArray

from contract import atomic
from contract.errors import UsageError
from contract.grids import Grid
from dynunet_trainer.plan import Plan, Triple, parse_plan

PLAN, CHANNELS, MISSING, FILES = "plan.json", "channels.json", "missing.json", "files.json"
IMAGES, FOREGROUND = "images", "foreground"
BRICK = 64
"""Voxels of a brick's side: a patch of 128 touches at most 27."""


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
    """A folder of stored images, and what its `plan.json` says.

    Attributes:
        cases: all that are stored.
        holdout: those that networks are never trained on.
    """

    folder: Path
    plan: Plan
    cases: Mapping[str, StoredCase]
    holdout: tuple[str, ...]

    @property
    def training(self) -> tuple[str, ...]:
        """The cases to train on, sorted."""
        return tuple(sorted(set(self.cases) - set(self.holdout)))

    def image(self, case: str) -> NDArray[np.int16]:
        """(X, Y, Z) voxels in 1/8 HU, mapped into memory."""
        return map_array(self.folder / IMAGES / f"{case}.npy")


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

    def labels(self, case: str, box: tuple[slice, ...] = (slice(None),) * 3) -> NDArray[np.uint8]:
        """(x, y, z) channels of a box, by default of the whole case; only the bricks that it touches are read."""
        return read_bricks(self.folder / f"{case}.b2nd", box)

    def foreground(self, case: str) -> NDArray[np.int32]:
        """(N, 2) channel and flat voxel index, mapped into memory."""
        return map_array(self.folder / FOREGROUND / f"{case}.npy")


def open_store(folder: Path) -> Store:
    """Read the result of `prepare`.

    Raises:
        UsageError: the folder holds none.
    """
    content = _read_json(folder / PLAN, "prepare")
    _check_sizes(folder, "prepare")
    cases = {
        name: StoredCase(tuple(case["shape"]), tuple(case["image_shape"]), case["image_affine"])
        for name, case in content["cases"].items()
    }
    return Store(folder, parse_plan(content["plan"]), cases, tuple(content["holdout"]))


def open_label_store(folder: Path) -> LabelStore:
    """Read the result of `prepare-labels`.

    Raises:
        UsageError: the folder holds none.
    """
    channels = _read_json(folder / CHANNELS, "prepare-labels")
    missing = _read_json(folder / MISSING, "prepare-labels")
    _check_sizes(folder, "prepare-labels")
    return LabelStore(folder, {channel["id"]: channel["organ"] for channel in channels}, tuple(missing))


def map_array(file: Path) -> NDArray[Any]:
    """Map a file into memory: an array that is read from disk only where it is used.

    Raises:
        UsageError: missing or damaged.
    """
    try:
        return np.load(file, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: must be a whole array, but: {error}; make the store again") from None


def write_bricks(path: Path, labels: NDArray[np.uint8]) -> None:
    """Write compressed labels in one step; the same labels give the same bytes."""
    bricks = tuple(min(BRICK, n) for n in labels.shape)
    # No filter: blosc2 would shuffle single bytes, which does nothing but take two thirds of the time to read.
    parameters = {"codec": blosc2.Codec.LZ4HC, "clevel": 9, "filters": [blosc2.Filter.NOFILTER], "nthreads": 1}
    packed = blosc2.asarray(np.ascontiguousarray(labels), chunks=bricks, blocks=bricks, cparams=parameters)
    atomic.write_bytes(path, packed.to_cframe())


def read_bricks(path: Path, box: tuple[slice, ...]) -> NDArray[np.uint8]:
    """Read a box of what `write_bricks` wrote.

    Raises:
        UsageError: missing or damaged.
    """
    try:
        packed = blosc2.open(str(path), mode="r", mmap_mode="r", dparams={"nthreads": 1})
        return np.asarray(packed[box])
    except Exception as error:  # blosc2 raises all kinds for a file that is damaged, or that holds an expression
        raise UsageError(f"{path}: must be whole labels, but: {error}; make the store again") from error


def write_sizes(folder: Path) -> None:
    """Write down how many bytes each file of a finished store has."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in {".npy", ".b2nd"})
    atomic.write_json(folder / FILES, {path.relative_to(folder).as_posix(): path.stat().st_size for path in files})


def _check_sizes(folder: Path, step: str) -> None:
    for name, size in _read_json(folder / FILES, step).items():
        try:
            actual = (folder / name).stat().st_size
        except OSError as error:
            raise UsageError(f"{folder / name}: must be there, but: {error.strerror}; make the store again") from None
        if actual != size:
            raise UsageError(f"{folder / name}: must have {size} bytes, but has {actual}; make the store again")


def _read_json(file: Path, step: str) -> Any:  # noqa: ANN401 - our own files
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UsageError(f"{file}: must be what step {step} wrote, but cannot be read; mount its results") from None
