"""The plan: what is decided once for a dataset and is the same for all of its label versions.

spacing and shapes of the training images  ->  patch  ->  kernels and strides  ->  network
voxels of the training images              ->  normalisation

Labels have no part in it, so two versions of a dataset differ only in their labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.errors import UsageError

Triple = tuple[int, int, int]
Spacing = tuple[float, float, float]

UNITS_PER_HU = 8
"""Stored images count 1/8 HU: int16 then holds -4096 … 4095.875 HU, more than a 12 bit CT and its padding."""
BODY_ABOVE_HU = -500
"""Voxels above count as body; this leaves out air, and padding such as -3024."""
LOWER_PERCENTILE, UPPER_PERCENTILE = 0.5, 99.5
ANISOTROPY = 2.0
"""An axis takes part in a convolution and in pooling while its spacing is at most this times the smallest."""
SMALLEST_POOLED = 8
"""An axis of fewer voxels is not pooled further."""
FEWEST_STAGES = 3
MOST_HEADS = 3


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Intensities: clipped to lower … upper, then (HU - mean) / std."""

    lower_hu: float
    upper_hu: float
    mean_hu: float
    std_hu: float

    @property
    def air(self) -> float:
        """The smallest normalised value; patches are padded with it."""
        return (self.lower_hu - self.mean_hu) / self.std_hu

    def apply(self, hu: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalise an image, or any part of one, in HU."""
        clipped = np.clip(hu, np.float32(self.lower_hu), np.float32(self.upper_hu))
        return (clipped - np.float32(self.mean_hu)) / np.float32(self.std_hu)


@dataclass(frozen=True, slots=True)
class Plan:
    """How images are resampled and normalised, and the shape of the network.

    Attributes:
        spacing_mm: of the resampled images, along RAS axes.
        patch: voxels that the network sees at once, along RAS axes.
        kernels: of each stage's convolutions, from full resolution down.
        strides: of each stage; the first is (1, 1, 1).
        filters: channels of each stage.
        normalisation: of intensities.
    """

    spacing_mm: Spacing
    patch: Triple
    kernels: tuple[Triple, ...]
    strides: tuple[Triple, ...]
    filters: tuple[int, ...]
    normalisation: Normalisation

    @property
    def heads(self) -> int:
        """Lower resolutions that are supervised too; never the two lowest, as in nnU-Net."""
        return min(MOST_HEADS, len(self.strides) - 2)

    def to_dict(self) -> dict[str, Any]:
        """Convert to numbers, lists and dictionaries; `parse_plan` reads them."""
        return asdict(self)


def parse_plan(content: Mapping[str, Any]) -> Plan:
    """Read what `Plan.to_dict` made, whether or not it went through JSON."""
    x, y, z = content["spacing_mm"]
    return Plan(
        spacing_mm=(x, y, z),
        patch=_triple(content["patch"]),
        kernels=tuple(_triple(kernel) for kernel in content["kernels"]),
        strides=tuple(_triple(stride) for stride in content["strides"]),
        filters=tuple(content["filters"]),
        normalisation=Normalisation(**content["normalisation"]),
    )


def make_plan(
    spacing_mm: Spacing,
    shapes: Sequence[Triple],
    normalisation: Normalisation,
    *,
    patch: str,
    voxels: int,
    filters: str,
) -> Plan:
    """Decide patch and network from the images.

    Args:
        spacing_mm: of the resampled images.
        shapes: of the resampled images.
        normalisation: of intensities.
        patch: "auto" or "x,y,z".
        voxels: of an automatic patch, at most; GPU memory grows in proportion.
        filters: "auto" (32, 64, … up to 320) or a list; fewer filters than the rule has stages make fewer stages.

    Raises:
        UsageError: an option that cannot be met.
    """
    size = automatic_patch(shapes, spacing_mm, voxels) if patch == "auto" else _parse_patch(patch)
    kernels, strides = kernels_and_strides(size, spacing_mm)
    channels = tuple(min(32 * 2**i, 320) for i in range(len(strides)))
    if filters != "auto":
        channels = _parse_integers("filters", filters)
    stages = min(len(strides), len(channels))
    if len(channels) > stages:
        raise UsageError(
            f"--filters must have at most one entry for each of the {stages} stages that patch {size} at "
            f"{_format_spacing(spacing_mm)} mm allows, but has {len(channels)}; leave out the last"
        )
    if stages < FEWEST_STAGES:
        raise UsageError(
            f"a network needs {FEWEST_STAGES} stages, but patch {size} at {_format_spacing(spacing_mm)} mm with "
            f"filters {filters} makes {stages}; choose a larger --patch, or more --filters"
        )
    return Plan(spacing_mm, size, kernels[:stages], strides[:stages], channels, normalisation)


def kernels_and_strides(patch: Triple, spacing_mm: Spacing) -> tuple[tuple[Triple, ...], tuple[Triple, ...]]:
    """Kernels and strides by the rule of nnU-Net and of MONAI's DynUNet tutorial.

    Stage by stage, an axis is pooled when its spacing is at most twice the smallest and 8 voxels are left; its kernel
    is 3 then, 1 while its spacing is larger.

    Args:
        patch: voxels.
        spacing_mm: of the patch's voxels.

    Returns:
        (kernels, strides), one of each a stage; the first stride is (1, 1, 1), the last kernel (3, 3, 3).

    Raises:
        UsageError: a patch that does not divide.
    """
    kernels, strides = [], [(1, 1, 1)]
    sizes, spacings = np.array(patch), np.array(spacing_mm)
    while True:
        close = spacings / spacings.min() <= ANISOTROPY
        stride = np.where(close & (sizes >= SMALLEST_POOLED), 2, 1)
        if (stride == 1).all():
            break
        if (sizes % stride).any():
            total = np.prod([*strides, stride.tolist()], axis=0).tolist()
            raise UsageError(f"--patch must be divisible by the network's strides {total}, but it is {list(patch)}")
        kernels.append(_triple(np.where(close, 3, 1)))
        strides.append(_triple(stride))
        sizes, spacings = sizes // stride, spacings * stride
    return (*kernels, (3, 3, 3)), tuple(strides)


def automatic_patch(shapes: Sequence[Triple], spacing_mm: Spacing, voxels: int) -> Triple:
    """Choose a patch: as near to a cube in mm as the median shape allows, with at most `voxels` voxels.

    nnU-Net's idea (a cube in mm, cut at the median shape, within a memory budget) with one simplification: memory is
    taken as proportional to the number of voxels, which is right for a fixed list of filters. Each axis is rounded
    down to a multiple of its strides.

    Args:
        shapes: of the resampled images.
        spacing_mm: of the resampled images.
        voxels: at most.
    """
    median: NDArray[np.float64] = np.maximum(np.floor(np.median(np.array(shapes, dtype=np.float64), axis=0)), 1)
    size = _cut_cube(median, np.array(spacing_mm), float(voxels))
    divisor = _pooling_divisor(size, np.array(spacing_mm))
    return _triple(np.maximum(np.floor(size / divisor), 1) * divisor)


def measure_normalisation(counts: NDArray[np.int64]) -> Normalisation:
    """Measure clip range, mean and standard deviation of the body's voxels.

    Args:
        counts: (65536,) how often each int16 value (in 1/8 HU, from -32768) occurs in all training images.

    Raises:
        UsageError: no voxel is body, or all have one value.
    """
    hu = np.arange(-(2**15), 2**15, dtype=np.float64) / UNITS_PER_HU
    body = np.where(hu > BODY_ABOVE_HU, counts, 0)
    total = int(body.sum())
    if total == 0:
        raise UsageError(f"training images must hold voxels above {BODY_ABOVE_HU} HU, but have none; are they HU?")
    mean = float((hu * body).sum() / total)
    std = float(np.sqrt((body * (hu - mean) ** 2).sum() / total))
    if std == 0:
        raise UsageError(f"training images must show something, but all of the body has {mean:g} HU")
    voxels_up_to = np.cumsum(body)
    lower, upper = (
        float(hu[np.searchsorted(voxels_up_to, total * percent / 100)])
        for percent in (LOWER_PERCENTILE, UPPER_PERCENTILE)
    )
    return Normalisation(lower, upper, mean, std)


def parse_spacing(text: str) -> Spacing:
    """Read "x,y,z" in mm.

    Raises:
        UsageError: anything else.
    """
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--spacing must be median or x,y,z in mm, but it is {text!r}") from None
    if not 0 < min(x, y, z) <= max(x, y, z) < np.inf:
        raise UsageError(f"--spacing must be above 0 mm, but it is {text!r}")
    return (x, y, z)


def _cut_cube(median: NDArray[np.float64], spacing: NDArray[np.float64], voxels: float) -> NDArray[np.float64]:
    """A cube in mm of `voxels` voxels; what an axis has beyond the median shape goes to the others."""
    size: NDArray[np.float64] = np.minimum(median, np.cbrt(voxels * spacing.prod()) / spacing)
    for _ in range(2):
        free = size < median
        if free.any():
            enlarged = size * np.where(free, (voxels / size.prod()) ** (1 / free.sum()), 1)
            size = np.minimum(median, enlarged)
    return size


def _pooling_divisor(size: NDArray[np.float64], spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """Product of the strides that the rule gives a patch of this size."""
    divisor = np.ones(3)
    while True:
        close = spacing * divisor / (spacing * divisor).min() <= ANISOTROPY
        pooled = close & (np.floor(size / divisor) >= SMALLEST_POOLED)
        if not pooled.any():
            return divisor
        divisor = np.where(pooled, divisor * 2, divisor)


def _parse_patch(text: str) -> Triple:
    sizes = _parse_integers("patch", text)
    if len(sizes) != 3:
        raise UsageError(f"--patch must be auto or x,y,z in voxels, but it is {text!r}")
    return _triple(sizes)


def _parse_integers(option: str, text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise UsageError(f"--{option} must be auto or whole numbers above 0 with commas, but it is {text!r}")
    return numbers


def _triple(numbers: Sequence[int] | NDArray[Any]) -> Triple:
    x, y, z = (int(number) for number in numbers)
    return (x, y, z)


def _format_spacing(spacing_mm: Spacing) -> str:
    return " x ".join(f"{s:.3g}" for s in spacing_mm)
