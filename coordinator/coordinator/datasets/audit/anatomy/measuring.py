"""Measures of all organs of a case, in one pass: each organ is looked at in its bounding box alone."""

import base64
import zlib
from collections.abc import Mapping
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from contract.volumes import Volume
from coordinator.datasets.audit.anatomy.fitting import measure_fit
from coordinator.datasets.audit.anatomy.midline import Midline, find_midline
from coordinator.datasets.audit.anatomy.organfacts import know
from coordinator.datasets.audit.anatomy.organmeasures import CaseOrgans, OrganMeasures, Point, Sketch, Voxel
from coordinator.datasets.audit.anatomy.shapes import (
    Cutout,
    find_middle,
    measure_ends,
    measure_gaps,
    measure_holes,
    measure_jumps,
    measure_pieces,
)

SKETCH_MM = 8.0
"""Step of the sketch: an adrenal gland, the smallest organ of the usual tables, is 10 to 40 mm long."""
AIR_HU = -500.0
"""Below it a voxel is air or lung."""
THICK = 1.25
"""Slices across another axis than z are those that were drawn when they are thicker by a quarter."""
LEAST_REPEATED = 20
"""Labelled voxels of a slice that is compared with the one before; fewer are equal by chance."""


def measure_organs(labels: NDArray[np.integer], image: Volume, organs: Mapping[int, str]) -> CaseOrgans:
    """Measure the organs of a case.

    Args:
        labels: (X, Y, Z) label ids on the image's RAS+ grid; 0 is background.
        image: the image, in HU.
        organs: id -> organ; other ids are passed over.

    Returns:
        The measures; no organ for an empty label map.
    """
    boxes = ndimage.find_objects(labels)
    present = {i: box for i, box in enumerate(boxes, 1) if i in organs and box}
    midline = find_midline(image)
    repeated, voxel = _measure_repeats(labels, list(present.values()))
    return CaseOrgans(
        shape=image.grid.shape,
        spacing_mm=image.spacing_mm,
        affine=tuple(image.grid.affine.ravel().tolist()),
        organs=tuple(
            _measure_organ(_cut_out(labels, image, i, box), image, midline, organs[i]) for i, box in present.items()
        ),
        sketch=_sketch(labels, image.spacing_mm),
        fit=measure_fit(labels, image.array, image.spacing_mm, organs),
        repeated=repeated,
        repeated_voxel=voxel,
    )


def _cut_out(labels: NDArray[np.integer], image: Volume, label: int, box: tuple[slice, ...]) -> Cutout:
    x, y, z = (b.start for b in box)
    voxels = cast(NDArray[np.number], image.array)  # a volume's voxels are integers or floats
    return Cutout(labels[box] == label, labels[box], (x, y, z), voxels, image.spacing_mm, label)


def _measure_organ(cutout: Cutout, image: Volume, midline: Midline, organ: str) -> OrganMeasures:
    mask, shape = cutout.mask, cutout.mask.shape
    values = cutout.image[cutout.box][mask]
    median_hu = float(np.median(values))
    is_air = values < AIR_HU
    centre = _find_centroid(cutout)
    x, y, z = _to_world(image, centre)
    corners = np.array([[o, o + n - 1] for o, n in zip(cutout.origin, shape, strict=True)])
    world = np.array([_to_world(image, c) for c in np.array(np.meshgrid(*corners)).reshape(3, -1).T])
    body = midline.body_at(float(centre[2]))
    pieces, piece_count = measure_pieces(cutout)
    jumps, jump_count = measure_jumps(cutout, find_through_plane(image.spacing_mm))
    return OrganMeasures(
        label=cutout.label,
        voxels=len(values),
        volume_ml=float(len(values) * cutout.voxel_ml),
        centroid_mm=(x, y, z),
        voxel=pieces[0].voxel,
        low_mm=_as_point(world.min(axis=0)),
        high_mm=_as_point(world.max(axis=0)),
        median_hu=median_hu,
        air_share=float(is_air.mean()),
        air_voxel=_find_air(cutout) if is_air.any() else pieces[0].voxel,
        border_mm2=_measure_border(cutout),
        off_body_mm=None if body is None else x - body,
        off_spine_mm=x - midline.spine_mm if np.isfinite(midline.spine_mm) else None,
        pieces=pieces,
        piece_count=piece_count,
        holes=() if know(organ).encloses else measure_holes(cutout),
        gaps=measure_gaps(cutout),
        ends=measure_ends(cutout, median_hu),
        jumps=jumps,
        jump_count=jump_count,
    )


def find_through_plane(spacing_mm: Point) -> int:
    """The axis across which outlines are drawn: that of a much wider spacing than the others, else the last."""
    widest = int(np.argmax(spacing_mm))
    return widest if spacing_mm[widest] > THICK * spacing_mm[2] else 2


def _find_centroid(cutout: Cutout) -> NDArray[np.float64]:
    """(3,) mean voxel of the organ in the case."""
    mask = cutout.mask
    profiles = [np.count_nonzero(mask, axis=axes) for axes in ((1, 2), (0, 2), (0, 1))]
    means = [np.average(np.arange(len(profile)), weights=profile) for profile in profiles]
    return np.asarray(means) + cutout.origin


def _find_air(cutout: Cutout) -> Voxel:
    return cutout.to_case(find_middle(cutout.mask & (cutout.image[cutout.box] < AIR_HU)))


def _measure_border(cutout: Cutout) -> tuple[float, float, float, float, float, float]:
    """Area of the organ on each face of the image, in mm2."""
    areas = []
    for axis in range(3):
        mask, unit = np.moveaxis(cutout.mask, axis, 0), float(np.prod(np.delete(cutout.spacing_mm, axis)))
        at_low = cutout.origin[axis] == 0
        at_high = cutout.origin[axis] + len(mask) == cutout.image.shape[axis]
        areas += [np.count_nonzero(mask[0]) * unit * at_low, np.count_nonzero(mask[-1]) * unit * at_high]
    a, b, c, d, e, f = map(float, areas)
    return (a, b, c, d, e, f)


def _measure_repeats(labels: NDArray[np.integer], boxes: list[tuple[slice, ...]]) -> tuple[Point, Voxel]:
    """Share of the labelled slices that equal the one before, across each axis; and a voxel amid the labels."""
    if not boxes:
        return (0.0, 0.0, 0.0), (0, 0, 0)
    low = [min(box[a].start for box in boxes) for a in range(3)]
    high = [max(box[a].stop for box in boxes) for a in range(3)]
    inside = labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    shares = []
    for axis in range(3):
        others = tuple({0, 1, 2} - {axis})
        slices = np.moveaxis(inside, axis, 0)
        labelled = np.count_nonzero(inside, axis=others)[1:] >= LEAST_REPEATED
        changed = np.moveaxis(slices[1:] != slices[:-1], 0, axis).any(axis=others)
        shares.append(float(np.mean(~changed[labelled])) if labelled.any() else 0.0)
    x, y, z = ((a + b) // 2 for a, b in zip(low, high, strict=True))
    return _as_point(np.array(shares)), (x, y, z)


def _sketch(labels: NDArray[np.integer], spacing_mm: Point) -> Sketch:
    x, y, z = (max(1, round(SKETCH_MM / mm)) for mm in spacing_mm)
    a, b, c = (min(step, length) // 2 for step, length in zip((x, y, z), labels.shape, strict=True))
    coarse = labels[a::x, b::y, c::z]
    content = base64.b64encode(zlib.compress(coarse.astype("<u2").tobytes())).decode()
    return Sketch(coarse.shape, (a, b, c), (x, y, z), content)


def read_sketch(sketch: Sketch) -> NDArray[np.uint16]:
    """The (X, Y, Z) samples of a sketch; sample i lies at voxel first + i * step."""
    return np.frombuffer(zlib.decompress(base64.b64decode(sketch.content)), "<u2").reshape(sketch.shape)


def _to_world(image: Volume, voxel: NDArray[np.float64]) -> Point:
    return _as_point(image.grid.affine[:3, :3] @ voxel + image.grid.affine[:3, 3])


def _as_point(values: NDArray[np.float64]) -> Point:
    x, y, z = values.tolist()
    return (x, y, z)
