"""Remapping a label map of 117 organs to a dataset's 15, beside a loop of np.isin and a plain copy.

a loop of np.isin     > 20 times as long   `for source, target: out[np.isin(labels, source)] = target`
one read, one write   < 3 times as fast    np.copyto into new memory

512 x 512 x 300 voxels of uint8, about a sixth of them organs, as in a torso; the loop has 512 x 512 x 10 of them, and is
compared on these. CPU times, medians of alternating runs: the machine may have other things to do. The last line is the
worst that can be, random ids without any background; it has no goal.
"""

import sys
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from timing import medians

from coordinator.datasets.remap import remap_labels

SHAPE = (512, 512, 300)
SLAB = 10
ORGANS = 117
TO_TARGET = {source: source % 16 if source % 3 == 0 else 0 for source in range(1, ORGANS + 1)}
"""Two thirds are discarded, the others merged into 15."""
Labels = NDArray[np.uint8]


def main() -> int:
    """Measure; 1 where a goal is not met."""
    labels = label_map()
    slab = np.asfortranarray(labels[:, :, 150 : 150 + SLAB])
    show("organs in the label map", f"{len(np.unique(labels)) - 1}, {(labels > 0).mean():.0%} of the voxels")
    assert (remap_labels(slab, TO_TARGET) == isin_loop(slab, TO_TARGET)).all()

    whole, copied = medians(15, lambda: remap_labels(labels, TO_TARGET), lambda: copy(labels))
    noise = np.random.Generator(np.random.Philox(key=1)).integers(1, ORGANS + 1, SHAPE, np.uint8)
    worst, _ = medians(5, lambda: remap_labels(noise, TO_TARGET), lambda: None)
    part, looped = medians(3, lambda: remap_labels(slab, TO_TARGET), lambda: isin_loop(slab, TO_TARGET))

    show("remap_labels, 512 x 512 x 300", f"{whole * 1000:.1f} ms")
    show("np.copyto, the same", f"{copied * 1000:.1f} ms")
    show(f"remap_labels, 512 x 512 x {SLAB}", f"{part * 1000:.2f} ms")
    show("loop of np.isin, the same", f"{looped * 1000:.0f} ms")
    met = [looped / part > 20, whole / copied < 3]
    show("times faster than the loop", f"{looped / part:.0f}   goal > 20   {'met' if met[0] else 'NOT MET'}")
    show("times as long as a copy", f"{whole / copied:.2f}   goal < 3   {'met' if met[1] else 'NOT MET'}")
    show("  where nothing is background", f"{worst / copied:.2f}")
    return 0 if all(met) else 1


def label_map() -> Labels:
    """117 ellipsoids in a body, some hidden by others; Fortran order, as a NIfTI file is read."""
    random = np.random.Generator(np.random.Philox(key=0))
    labels = np.zeros(SHAPE, np.uint8, order="F")
    for organ in range(1, ORGANS + 1):
        centre = random.uniform((110, 150, 0), (402, 362, 300))
        axes = random.uniform(16, 53, 3)
        low = np.maximum((centre - axes).astype(int), 0)
        high = np.minimum((centre + axes).astype(int) + 1, SHAPE)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        x, y, z = (((g - c) / a) ** 2 for g, c, a in zip(np.ogrid[box], centre, axes, strict=True))
        labels[box][x + y + z < 1] = organ
    return labels


def isin_loop(labels: Labels, to_target: Mapping[int, int]) -> Labels:
    """What many programs do."""
    out = np.zeros_like(labels)
    for source, target in to_target.items():
        out[np.isin(labels, source)] = target
    return out


def copy(labels: Labels) -> Labels:
    """One read and one write."""
    out = np.empty_like(labels)
    np.copyto(out, labels)
    return out


def show(what: str, value: str) -> None:
    """One line."""
    sys.stdout.write(f"{what:<34} {value}\n")


if __name__ == "__main__":
    raise SystemExit(main())
