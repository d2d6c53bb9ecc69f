"""Which patch is number k: a pure function of the seeds and k.

k  ->  case: place k mod N of permutation k div N of the N cases     each case once before any comes again
k  ->  crop, placement, intensities: random numbers keyed by (seed, k), a stream for each purpose

There is no state to keep: a run that is killed and resumed, or that reads with more workers, sees the same patches.
Labels decide only where a crop lies, and only where crops are centred on this version's own foreground.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dynunet_trainer.augmentation import Placement, change_intensities, draw_placement
from dynunet_trainer.kernels import cut_image, warp_image, warp_labels
from dynunet_trainer.plan import UNITS_PER_HU, Normalisation, Plan, Triple
from dynunet_trainer.store import LabelStore, Store

ORDER, CROP, AUGMENT = 0, 1, 2
"""Purposes of random numbers; each has a stream of its own."""
UNCHANGED = Placement(None, ())


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Which random changes patches get.

    Attributes:
        seed: of the changes alone; the places of patches don't depend on it.
        mirror_axes: axes along which half of the patches are mirrored.
    """

    seed: int
    mirror_axes: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Sampler:
    """Patches of a label version.

    Attributes:
        store: of images.
        labels: of the version.
        cases: the training cases that have labels, sorted.
        seed: of the order of cases and the places of patches.
        foreground: share of patches that are centred on a foreground voxel.
        foreground_of: the label version whose foreground that is; None where no patch is centred.
        augmentation: None for patches as they are.
    """

    store: Store
    labels: LabelStore
    cases: tuple[str, ...]
    seed: int
    foreground: float
    foreground_of: LabelStore | None
    augmentation: Augmentation | None

    def patch(self, k: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Patch number k.

        Returns:
            Normalised image and channels, both of the plan's patch size. Where the case is smaller, the rest is air
            and background.
        """
        case = self.cases[case_index(self.seed, k, len(self.cases))]
        plan, origin = self.store.plan, self._origin(case, k)
        if self.augmentation is None:
            return self._read_patch(case, origin, UNCHANGED)
        random = keyed_random(self.seed, AUGMENT, k, self.augmentation.seed)
        image, labels = self._read_patch(case, origin, draw_placement(random, plan, self.augmentation.mirror_axes))
        return change_intensities(image, random, plan.normalisation.air), labels

    def _origin(self, case: str, k: int) -> Triple:
        """Where patch k begins in its case."""
        shape, random = self.store.cases[case].shape, keyed_random(self.seed, CROP, k)
        centre = None
        if random.random() < self.foreground and self.foreground_of is not None:
            centre = foreground_voxel(self.foreground_of.foreground(case), shape, random)
        return patch_origin(shape, self.store.plan.patch, centre, random)

    def _read_patch(
        self, case: str, origin: Triple, placement: Placement
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Image and channels of a patch, rotated, scaled and mirrored as drawn."""
        plan = self.store.plan
        image, channels = np.empty(plan.patch, np.float32), np.zeros(plan.patch, np.uint8)
        stored, window = self.store.image(case), _intensity_window(plan.normalisation)
        if placement.linear_map is None:
            cut_image(stored, np.array(origin), window, image)
            _paste_labels(self.labels, case, stored.shape, origin, channels)
        else:
            matrix = _placement_matrix(placement.linear_map, origin, plan)
            warp_image(stored, matrix, window, image)
            box = _bounding_box(matrix, plan.patch, stored.shape)
            if all(edge.start < edge.stop for edge in box):
                inside = matrix - np.array([[0, 0, 0, edge.start] for edge in box])
                warp_labels(self.labels.labels(case, box), inside, channels)
        if placement.mirrored_axes:
            image = np.ascontiguousarray(np.flip(image, placement.mirrored_axes))
            channels = np.ascontiguousarray(np.flip(channels, placement.mirrored_axes))
        return image, channels


def keyed_random(seed: int, purpose: int, number: int, second_seed: int = 0) -> np.random.Generator:
    """Random numbers that depend on nothing but these arguments."""
    key, counter = np.array([seed, number], np.uint64), np.array([0, 0, second_seed, purpose], np.uint64)
    return np.random.Generator(np.random.Philox(counter=counter, key=key))


def case_index(seed: int, k: int, cases: int) -> int:
    """Index of the case that patch k is cut from."""
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
    """Where a patch begins: around `centre`, or anywhere, but never further outside than necessary.

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


def _intensity_window(normalisation: Normalisation) -> NDArray[np.float32]:
    """Clip range in stored units, and the factor and summand that normalise, as the kernels take them."""
    units = np.array([normalisation.lower_hu, normalisation.upper_hu]) * UNITS_PER_HU
    factor = 1 / (UNITS_PER_HU * normalisation.std_hu)
    return np.array([*np.rint(units), factor, -normalisation.mean_hu / normalisation.std_hu], np.float32)


def _placement_matrix(linear_map: NDArray[np.float64], origin: Triple, plan: Plan) -> NDArray[np.float64]:
    """(3, 4) voxel of the patch -> voxel of the case, about the patch's centre."""
    middle = (np.array(plan.patch) - 1) / 2
    return np.column_stack([linear_map, np.array(origin) + middle - linear_map @ middle])


def _bounding_box(matrix: NDArray[np.float64], patch: Triple, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Box of a case that a rotated patch reads; empty along an axis where it lies outside."""
    corners = np.stack(np.meshgrid(*[[0, n - 1] for n in patch], indexing="ij")).reshape(3, -1)
    positions = matrix[:, :3] @ corners + matrix[:, 3:]
    first = np.clip(np.floor(positions.min(axis=1)), 0, shape).astype(int).tolist()
    end = np.clip(np.floor(positions.max(axis=1)) + 2, 0, shape).astype(int).tolist()
    return tuple(slice(a, b) for a, b in zip(first, end, strict=True))


def _paste_labels(
    labels: LabelStore, case: str, shape: tuple[int, ...], origin: Triple, out: NDArray[np.uint8]
) -> None:
    """Copy the part of a patch that lies in the case; the rest stays background."""
    first = [max(start, 0) for start in origin]
    end = [min(start + n, size) for start, n, size in zip(origin, out.shape, shape, strict=True)]
    target = tuple(slice(a - o, b - o) for a, b, o in zip(first, end, origin, strict=True))
    out[target] = labels.labels(case, tuple(map(slice, first, end)))
