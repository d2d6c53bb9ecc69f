"""The shape of one organ: its pieces, holes, empty slices, ends and jumps, measured in its bounding box."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from coordinator.datasets.audit.anatomy.organmeasures import End, Gap, Hole, Jump, Piece, Voxel

KEPT = 3
"""Pieces, holes and jumps that are kept of an organ: what a finding names is the largest or the second."""
LEAST_SHARE = 0.05
"""Gaps beside less of an organ's largest section are not kept: those beside a stray speck."""
LEAST_OF_DEEPER = 0.5
"""Rounder ends than this are not kept, but along z, where the ends of tubes are compared."""
DEEPER_MM = 8.0
"""Ends are compared with the section this far inside. The tip of a rounded organ grows in proportion to the distance
from it, so its last slice has at most s / (s + 8 mm) of that section at a slice spacing of s: a third at 4 mm."""
ALIKE_HU = 40.0
"""Tissue behind an end is the organ's own when it lies this near to the organ's median: twice the noise of a CT of
thick slices, and less than the difference of any organ from fat (100 HU) or lung."""
STEP, LEAST_USUAL = 0.3, 0.75
"""Fall of the Dice of neighbouring sections that is a jump. Of a smooth organ it changes by less than 0.1 from slice to
slice; a shift of a round section by a quarter of its width lowers it by 0.3. Where the sections beside the place
overlap by less than 0.75, as of an oblique pancreas in slices of 6 mm, a jump is the organ's own."""
LEAST_SECTION_MM2, LEAST_WIDTH_SLICES = 150.0, 4
"""Smaller sections may move by their own width from slice to slice: those below 150 mm2, 14 mm across, and those that
are narrower than four times the distance of the slices."""
LEAST_SLICES = 6
"""Of an organ whose ends and jumps are looked at: in fewer slices, most sections are tips. An empty bladder of AMOS has
five, of 23, 35, 31, 25 and 19 cm2."""
ALL_NEIGHBOURS = np.ones((3, 3, 3), np.bool_)

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Cutout:
    """The bounding box of an organ, cut out of a case.

    Attributes:
        mask: (X, Y, Z) of the organ in its box.
        labels: (X, Y, Z) of the box.
        origin: voxel of the box's low corner.
        image: (X, Y, Z) HU of the whole case.
        spacing_mm: of the voxels.
        label: id of the organ.
    """

    mask: Mask
    labels: NDArray[np.integer]
    origin: Voxel
    image: NDArray[np.number]
    spacing_mm: tuple[float, float, float]
    label: int

    @property
    def box(self) -> tuple[slice, ...]:
        """The box in the case."""
        return tuple(slice(o, o + n) for o, n in zip(self.origin, self.mask.shape, strict=True))

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return float(np.prod(self.spacing_mm)) / 1000

    def to_case(self, voxel: Sequence[int]) -> Voxel:
        """The voxel of the case at a voxel of the box."""
        x, y, z = (int(v) + o for v, o in zip(voxel, self.origin, strict=True))
        return (x, y, z)


def find_middle(mask: Mask) -> Voxel:
    """A voxel of a mask near its middle: in the slice that halves it, the one nearest to the section's centroid."""
    sections = np.count_nonzero(mask, axis=(0, 1))
    z = int(np.searchsorted(np.cumsum(sections), sections.sum() / 2))
    inside = np.argwhere(mask[:, :, z])
    x, y = inside[np.square(inside - inside.mean(axis=0)).sum(axis=1).argmin()].tolist()
    return (x, y, z)


def measure_pieces(cutout: Cutout) -> tuple[tuple[Piece, ...], int]:
    """The largest connected parts, and the number of them all; voxels that share a corner are connected.

    Parts that reach the image's border as the largest does are left out: they may be joined to it outside.
    """
    parts, _ = ndimage.label(cutout.mask, ALL_NEIGHBOURS)
    boxes = ndimage.find_objects(parts)
    sizes = np.bincount(parts.ravel())[1:] if len(boxes) > 1 else np.array([np.count_nonzero(cutout.mask)])
    order = np.argsort(-sizes, kind="stable").tolist()
    if _is_at_border(cutout, boxes[order[0]]):
        order = [order[0], *(part for part in order[1:] if not _is_at_border(cutout, boxes[part]))]
    pieces = []
    for part in order[:KEPT]:
        middle = find_middle(parts[boxes[part]] == part + 1)
        voxel = cutout.to_case([m + b.start for m, b in zip(middle, boxes[part], strict=True)])
        pieces.append(Piece(float(sizes[part] * cutout.voxel_ml), int(sizes[part]), voxel))
    return tuple(pieces), len(order)


def _is_at_border(cutout: Cutout, box: Sequence[slice]) -> bool:
    ends = zip(box, cutout.origin, cutout.image.shape, strict=True)
    return any(b.start + origin == 0 or b.stop + origin == length for b, origin, length in ends)


def measure_holes(cutout: Cutout) -> tuple[Hole, ...]:
    """What the organ encloses on all sides: the largest holes of background, and the largest that hold other labels."""
    outside = np.pad(~cutout.mask, 1, constant_values=True)
    parts, count = ndimage.label(outside)
    if count < 2:
        return ()
    parts = parts[1:-1, 1:-1, 1:-1]
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    sizes[[0, 1]] = 0  # 1 is what holds the padding's corner: the outside
    boxes = ndimage.find_objects(parts)
    holes: list[Hole] = []
    for part in np.argsort(-sizes, kind="stable").tolist():
        enough = sum(not hole.label for hole in holes) >= KEPT and len(holes) >= 2 * KEPT
        if not sizes[part] or enough:
            break
        box = boxes[part - 1]
        mask = parts[box] == part
        label = int(np.bincount(cutout.labels[box][mask]).argmax())
        voxel = cutout.to_case([m + b.start for m, b in zip(find_middle(mask), box, strict=True)])
        holes.append(Hole(float(sizes[part] * cutout.voxel_ml), int(sizes[part]), voxel, label))
    background = [hole for hole in holes if not hole.label][:KEPT]
    return (*background, *[hole for hole in holes if hole.label][:KEPT])


def measure_gaps(cutout: Cutout) -> tuple[Gap, ...]:
    """Runs of empty slices between slices with the organ, across each axis; the first axis is the first across."""
    gaps = []
    for axis in range(3):
        mask = np.moveaxis(cutout.mask, axis, 0)
        areas = np.count_nonzero(mask, axis=(1, 2))
        empty, count = ndimage.label(areas == 0)
        for (run,) in ndimage.find_objects(empty)[:count]:
            before, after = areas[: run.start], areas[run.stop :]
            before_voxels, after_voxels = int(before.sum()), int(after.sum())
            both = mask[run.start - 1] & mask[run.stop]
            section_share = float(min(before.max(), after.max()) / areas.max())
            if section_share < LEAST_SHARE:
                continue
            smaller = min(areas[run.start - 1], areas[run.stop])
            where = np.argwhere(both if both.any() else mask[run.start - 1]).mean(axis=0)
            voxel = np.insert(np.rint(where).astype(int), axis, (run.start + run.stop - 1) // 2)
            slices = run.stop - run.start
            gaps.append(
                Gap(
                    axis,
                    slices,
                    slices * cutout.spacing_mm[axis],
                    section_share,
                    min(before_voxels, after_voxels) / (before_voxels + after_voxels),
                    float(np.count_nonzero(both) / smaller),
                    cutout.to_case(voxel.tolist()),
                )
            )
    return tuple(gaps)


def measure_ends(cutout: Cutout, median_hu: float) -> tuple[End, ...]:
    """The ends of the organ along each axis, but those at the image's border and those too near to each other."""
    ends = []
    for axis in range(3):
        mask = np.moveaxis(cutout.mask, axis, 0)
        areas = np.count_nonzero(mask, axis=(1, 2)) * float(np.prod(np.delete(cutout.spacing_mm, axis)))
        deeper = max(1, int(np.ceil(DEEPER_MM / cutout.spacing_mm[axis])))
        for direction in (-1, 1):
            index = 0 if direction < 0 else len(areas) - 1
            behind = index + cutout.origin[axis] + direction
            if not 0 <= behind < cutout.image.shape[axis] or len(areas) < max(2 * deeper, LEAST_SLICES):
                continue
            share_of_deeper = float(areas[index] / max(areas[index - direction * deeper], areas[index]))
            if axis != 2 and share_of_deeper < LEAST_OF_DEEPER:
                continue
            section = mask[index]
            box = cutout.box[:axis] + cutout.box[axis + 1 :]
            values = np.moveaxis(cutout.image, axis, 0)[behind][box][section]
            alike = float(np.mean(np.abs(values.astype(np.float32) - median_hu) <= ALIKE_HU))
            inside = np.argwhere(section)
            middle = inside[np.square(inside - inside.mean(axis=0)).sum(axis=1).argmin()]
            beyond = behind if direction < 0 else cutout.image.shape[axis] - 1 - behind
            ends.append(
                End(
                    axis,
                    direction,
                    float(areas[index]),
                    share_of_deeper,
                    float(areas[index] / areas.max()),
                    cutout.spacing_mm[axis],
                    beyond + 1,
                    alike,
                    cutout.to_case(np.insert(middle, axis, index).tolist()),
                )
            )
    return tuple(ends)


def measure_jumps(cutout: Cutout, axis: int) -> tuple[tuple[Jump, ...], int]:
    """Where the sections of neighbouring slices overlap much less than those beside them; and the number of places.

    A slice of its own outline overlaps neither neighbour while these overlap each other; a step parts two stacks.
    """
    mask = np.moveaxis(cutout.mask, axis, 0)
    if len(mask) < LEAST_SLICES:
        return (), 0
    areas = np.count_nonzero(mask, axis=(1, 2)).astype(np.float64)
    next_dice = _measure_overlaps(mask, areas, 1)
    second_dice = _measure_overlaps(mask, areas, 2)
    least_mm2 = max(LEAST_SECTION_MM2, (LEAST_WIDTH_SLICES * cutout.spacing_mm[axis]) ** 2)
    large = areas * float(np.prod(np.delete(cutout.spacing_mm, axis))) >= least_mm2
    jumps = []
    for k in range(1, len(mask) - 1):
        overlap = max(next_dice[k - 1], next_dice[k])
        if large[k - 1] and large[k + 1] and areas[k] and second_dice[k - 1] - overlap >= STEP:
            jumps.append((k, overlap, second_dice[k - 1]))
    for k in range(1, len(mask) - 2):
        usual = min(next_dice[k - 1], next_dice[k + 1])
        if large[k - 1 : k + 3].all() and usual - next_dice[k] >= STEP:
            jumps.append((k + 1, next_dice[k], usual))
    jumps = [jump for jump in jumps if jump[2] >= LEAST_USUAL]
    found = []
    for k, overlap, usual in sorted(jumps, key=lambda jump: jump[1] - jump[2])[:KEPT]:
        inside = np.argwhere(mask[k])
        middle = inside[np.square(inside - inside.mean(axis=0)).sum(axis=1).argmin()]
        voxel = cutout.to_case(np.insert(middle, axis, k).tolist())
        found.append(Jump(axis, float(overlap), float(usual), voxel))
    return tuple(found), len({k for k, _, _ in jumps})


def _measure_overlaps(mask: Mask, areas: NDArray[np.float64], step: int) -> NDArray[np.float64]:
    """Dice of each section and the one `step` slices further; 0 where both are empty."""
    common = np.count_nonzero(mask[step:] & mask[:-step], axis=(1, 2))
    return np.asarray(2 * common / np.maximum(areas[step:] + areas[:-step], 1))
