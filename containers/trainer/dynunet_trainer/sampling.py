"""Which patch is number k: a pure function of the seed and k.

k  ->  case: place k mod N of permutation k div N of the N cases     every case once before any comes again
k  ->  crop: random numbers keyed by (seed, k)

There is no state to keep: a run that is killed and resumed, or that reads with more workers, sees the same patches.
Augmentations belong at the end of `Sampler.patch`, drawn from the same keyed random numbers.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dynunet_trainer.plan import UNITS_PER_HU, Triple
from dynunet_trainer.store import LabelStore, Store

Number = TypeVar("Number", bound=np.generic)

ORDER, CROP = 0, 1
"""Purposes of random numbers: streams of different purposes never meet."""


@dataclass(frozen=True, slots=True, eq=False)
class Sampler:
    """Patches of a label version.

    Attributes:
        store: of images.
        labels: of the version.
        cases: the training cases that have labels, sorted.
        seed: of everything random.
        foreground: share of patches that are centred on a foreground voxel.
    """

    store: Store
    labels: LabelStore
    cases: tuple[str, ...]
    seed: int
    foreground: float

    def patch(self, k: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Patch number k.

        Returns:
            Normalised image and channels, both of the plan's patch size. Where the case is smaller, the rest is air
            and background.
        """
        case = self.cases[case_index(self.seed, k, len(self.cases))]
        plan = self.store.plan
        image, labels = self.store.image(case), self.labels.labels(case)
        random = keyed_random(self.seed, CROP, k)
        centre = None
        if random.random() < self.foreground:
            centre = foreground_voxel(self.labels.foreground(case), image.shape, random)
        origin = patch_origin(image.shape, plan.patch, centre, random)
        hu = padded_crop(image, origin, plan.patch, np.iinfo(np.int16).min).astype(np.float32) / np.float32(
            UNITS_PER_HU
        )
        return plan.normalisation.apply(hu), padded_crop(labels, origin, plan.patch, 0)


def keyed_random(seed: int, purpose: int, number: int) -> np.random.Generator:
    """Random numbers that depend on these three alone."""
    key, counter = np.array([seed, number], np.uint64), np.array([0, 0, 0, purpose], np.uint64)
    return np.random.Generator(np.random.Philox(counter=counter, key=key))


def case_index(seed: int, k: int, cases: int) -> int:
    """Which case sample k is of."""
    round_number, place = divmod(k, cases)
    return int(keyed_random(seed, ORDER, round_number).permutation(cases)[place])


def foreground_voxel(
    locations: NDArray[np.int32], shape: tuple[int, ...], random: np.random.Generator
) -> tuple[int, ...] | None:
    """A random voxel of a random channel of those that occur, so that small organs are seen as often as large ones.

    Args:
        locations: (N, 2) channel and flat voxel index, ascending.
        shape: of the case.
        random: two numbers are drawn.

    Returns:
        Voxel index; None where the case has no foreground.
    """
    channels = np.unique(locations[:, 0])
    which, place = random.random(2)
    if channels.size == 0:
        return None
    channel = channels[int(which * channels.size)]
    first, end = np.searchsorted(locations[:, 0], [channel, channel + 1])
    flat = locations[first + int(place * (end - first)), 1]
    return tuple(int(i) for i in np.unravel_index(flat, shape))


def patch_origin(
    shape: tuple[int, ...], patch: Triple, centre: tuple[int, ...] | None, random: np.random.Generator
) -> Triple:
    """Where a patch begins: around `centre`, or anywhere, but never further outside than it must.

    Along an axis on which the case is smaller than the patch, the origin is 0 or negative: the case lies somewhere
    inside the patch.
    """
    room = np.array(shape) - np.array(patch)
    lowest, highest = np.minimum(room, 0), np.maximum(room, 0)
    origin = random.integers(lowest, highest, endpoint=True)
    if centre is not None:
        origin = np.clip(np.array(centre) - np.array(patch) // 2, lowest, highest)
    x, y, z = origin.tolist()
    return (x, y, z)


def padded_crop(array: NDArray[Number], origin: Triple, size: Triple, fill: int) -> NDArray[Number]:
    """Cut a box out of an array; what lies outside is `fill`."""
    result = np.full(size, fill, array.dtype)
    source, target = [], []
    for start, length, n in zip(origin, size, array.shape, strict=True):
        first, end = max(start, 0), min(start + length, n)
        source.append(slice(first, end))
        target.append(slice(first - start, end - start))
    result[tuple(target)] = array[tuple(source)]
    return result
