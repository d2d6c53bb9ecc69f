"""Defects of labels to plant in a phantom, and what the audit must say of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from helpers.auditphantoms import FIELDS, Phantom, draw
from numpy.typing import NDArray
from scipy import ndimage

Voxels = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Defect:
    """A defect, and the finding that names it.

    Attributes:
        plant: changes a copy of a case in place, or returns a new one.
        kind: of the finding.
        organ: that it names; another one in some fields of view, by `organ_in`.
        consequences: kinds of further findings that the same defect explains.
    """

    plant: Callable[[Phantom], Phantom | None]
    kind: str
    organ: str = ""
    consequences: tuple[str, ...] = ()
    organ_in: Mapping[str, str] = field(default_factory=dict)

    def organ_of(self, view: str) -> str:
        """The organ that the finding names in a field of view."""
        return self.organ_in.get(view, self.organ)


def middle(phantom: Phantom, organ: str) -> NDArray[np.int64]:
    """(3,) the middle voxel of an organ."""
    return np.rint(np.argwhere(phantom.where(organ)).mean(axis=0)).astype(int)


def ball(phantom: Phantom, centre: NDArray[np.int64], radius_mm: float) -> NDArray[np.bool_]:
    """The voxels around a voxel."""
    offsets = (np.moveaxis(np.indices(phantom.labels.shape), 0, -1) - centre) * phantom.spacing_mm
    return np.linalg.norm(offsets, axis=-1) <= radius_mm


def spot(phantom: Phantom, near: str, radius_mm: float) -> NDArray[np.int64]:
    """The middle of an unlabelled ball of fat, as near to an organ as it can be without touching any label."""
    free = (phantom.labels == 0) & (np.abs(ndimage.gaussian_filter(phantom.hu.astype(float), 1) + 95) < 60)
    room = ndimage.distance_transform_edt(free, phantom.spacing_mm) > radius_mm + 2 * max(phantom.spacing_mm)
    places = np.argwhere(room)
    far = np.linalg.norm((places - middle(phantom, near)) * phantom.spacing_mm, axis=1)
    return places[far.argmin()]


def slices(phantom: Phantom, organ: str, axis: int) -> tuple[int, int]:
    """First slice of an organ along an axis, and the one after its last."""
    inside = np.flatnonzero(phantom.where(organ).any(axis=tuple({0, 1, 2} - {axis})))
    return int(inside[0]), int(inside[-1]) + 1


def relabel(phantom: Phantom, mask: NDArray[np.bool_], organ: str | None) -> None:
    phantom.labels[mask] = phantom.id(organ) if organ else 0


def swap(first: str, second: str) -> Callable[[Phantom], None]:
    def plant(phantom: Phantom) -> None:
        a, b = phantom.where(first), phantom.where(second)
        relabel(phantom, a, second)
        relabel(phantom, b, first)

    return plant


def rename(source: str, target: str | None) -> Callable[[Phantom], None]:
    """Give an organ's voxels another label; None is background."""
    return lambda phantom: relabel(phantom, phantom.where(source), target)


def replace_by(source: str, target: str) -> Callable[[Phantom], None]:
    """Remove the target, and give the source its label."""

    def plant(phantom: Phantom) -> None:
        relabel(phantom, phantom.where(target), None)
        relabel(phantom, phantom.where(source), target)

    return plant


def flip(axis: int, *, image: bool) -> Callable[[Phantom], Phantom]:
    """Flip the labels, and the image with them or not."""

    def plant(phantom: Phantom) -> Phantom:
        hu = np.flip(phantom.hu, axis) if image else phantom.hu
        return replace(phantom, labels=np.flip(phantom.labels, axis).copy(), hu=hu.copy())

    return plant


def shift(axis: int, mm: float) -> Callable[[Phantom], None]:
    """Move all labels along an axis."""

    def plant(phantom: Phantom) -> None:
        moved = np.zeros(3)
        moved[axis] = mm / phantom.spacing_mm[axis]
        phantom.labels[:] = ndimage.shift(phantom.labels, np.rint(moved), order=0)

    return plant


def add_piece(organ: str, radius_mm: float) -> Callable[[Phantom], None]:
    return lambda phantom: relabel(phantom, ball(phantom, spot(phantom, organ, radius_mm), radius_mm), organ)


def add_specks(organ: str) -> Callable[[Phantom], None]:
    def plant(phantom: Phantom) -> None:
        for steps in (2, 4, 6):
            centre = spot(phantom, organ, 9)
            phantom.labels[tuple(centre + np.array([0, 0, steps - 4]))] = phantom.id(organ)

    return plant


def fill_ball(organ: str, radius_mm: float, content: str | None) -> Callable[[Phantom], None]:
    """Give a ball in the middle of an organ another label."""

    def plant(phantom: Phantom) -> None:
        deep = ndimage.distance_transform_edt(phantom.where(organ), phantom.spacing_mm)
        centre = np.array(np.unravel_index(deep.argmax(), deep.shape))
        relabel(phantom, ball(phantom, centre, radius_mm) & phantom.where(organ), content)

    return plant


def cut(organ: str, axis: int, share: float, *, low: bool = False) -> Callable[[Phantom], None]:
    """Remove a share of an organ's slices at its high end along an axis, or at its low end."""

    def plant(phantom: Phantom) -> None:
        first, stop = slices(phantom, organ, axis)
        at = first + round((share if low else 1 - share) * (stop - first))
        beyond = [slice(None)] * 3
        beyond[axis] = slice(None, at) if low else slice(at, None)
        mask = np.zeros(phantom.labels.shape, np.bool_)
        mask[tuple(beyond)] = True
        relabel(phantom, mask & phantom.where(organ), None)

    return plant


def empty_slices(organ: str, axis: int, count: int) -> Callable[[Phantom], None]:
    def plant(phantom: Phantom) -> None:
        at = int(middle(phantom, organ)[axis])
        mask = np.zeros(phantom.labels.shape, np.bool_)
        np.moveaxis(mask, axis, 0)[at : at + count] = True
        relabel(phantom, mask & phantom.where(organ), None)

    return plant


def grow(organ: str, mm: float) -> Callable[[Phantom], None]:
    """Let an organ cover what lies within a distance, where no label is."""

    def plant(phantom: Phantom) -> None:
        near = ndimage.distance_transform_edt(~phantom.where(organ), phantom.spacing_mm) <= mm
        relabel(phantom, near & (phantom.labels == 0), organ)

    return plant


def shrink(organ: str, radius_mm: float) -> Callable[[Phantom], None]:
    """Leave a ball of an organ, in its thickest place."""

    def plant(phantom: Phantom) -> None:
        deep = ndimage.distance_transform_edt(phantom.where(organ), phantom.spacing_mm)
        centre = np.array(np.unravel_index(deep.argmax(), deep.shape))
        relabel(phantom, phantom.where(organ) & ~ball(phantom, centre, radius_mm), None)

    return plant


def brighten(organ: str, hu: int) -> Callable[[Phantom], None]:
    def plant(phantom: Phantom) -> None:
        phantom.hu[phantom.where(organ)] += np.int16(hu)

    return plant


def inflate(organ: str, share: float) -> Callable[[Phantom], None]:
    """Put lung or gas where the front of an organ is labelled."""

    def plant(phantom: Phantom) -> None:
        mask = phantom.where(organ)
        front = np.quantile(np.argwhere(mask)[:, 1], 1 - share)
        mask[:, : int(front)] = False
        phantom.hu[mask] = -850

    return plant


def crop(organ: str) -> Callable[[Phantom], Phantom]:
    """Crop the image so that its side cuts an organ in half; the organ lies at low x."""

    def plant(phantom: Phantom) -> Phantom:
        at = int(middle(phantom, organ)[0])
        affine = phantom.affine.copy()
        affine[:3, 3] += affine[:3, 0] * at
        return replace(phantom, labels=phantom.labels[at:].copy(), hu=phantom.hu[at:].copy(), affine=affine)

    return plant


def move_slice(organ: str, mm: float, *, rest: bool) -> Callable[[Phantom], None]:
    """Move an organ's middle slice along y, or all slices from there on."""

    def plant(phantom: Phantom) -> None:
        at, mask = int(middle(phantom, organ)[2]), phantom.where(organ)
        moved = slice(at, None) if rest else slice(at, at + 1)
        there = ndimage.shift(mask[:, :, moved], (0, round(mm / phantom.spacing_mm[1]), 0), order=0)
        sections = phantom.labels[:, :, moved]
        sections[mask[:, :, moved]] = 0
        sections[there & (sections == 0)] = phantom.id(organ)

    return plant


def coarsen(phantom: Phantom) -> None:
    """Labels of every second voxel in the plane, each repeated."""
    coarse = phantom.labels[::2, ::2]
    fine = coarse.repeat(2, axis=0).repeat(2, axis=1)
    phantom.labels[:] = fine[: phantom.labels.shape[0], : phantom.labels.shape[1]]


def move(organ: str, mm: tuple[float, float, float]) -> Callable[[Phantom], None]:
    """Move an organ's label, over whatever lies there but other labels."""

    def plant(phantom: Phantom) -> None:
        mask = phantom.where(organ)
        relabel(phantom, mask, None)
        there = ndimage.shift(mask, np.rint(np.divide(mm, phantom.spacing_mm)), order=0)
        relabel(phantom, there & (phantom.labels == 0), organ)

    return plant


def take_labels_of_another(phantom: Phantom) -> None:
    """Put the labels of another patient of the same field of view on the image, about its middle."""
    view = next(name for name, view in FIELDS.items() if view.labels == phantom.organs)
    other = draw(view, 6).labels
    phantom.labels[:] = 0
    shared = [min(n, m) for n, m in zip(other.shape, phantom.labels.shape, strict=True)]
    here, there = (
        tuple(slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(shape, shared, strict=True))
        for shape in (phantom.labels.shape, other.shape)
    )
    phantom.labels[here] = other[there]


OF_VALUES = ("volume-unlike-others", "hu-unlike-others", "hu-impossible", "volume-impossible")

DEFECTS = {
    "kidneys swapped": Defect(swap("kidney_left", "kidney_right"), "left-right-swapped", "kidney_left"),
    "adrenal glands swapped": Defect(swap("adrenal_gland_left", "adrenal_gland_right"), "left-right-swapped", "adrenal_gland_left"),
    "right kidney called left": Defect(replace_by("kidney_right", "kidney_left"), "wrong-side", "kidney_left", ("organ-absent",)),
    "right adrenal called left": Defect(replace_by("adrenal_gland_right", "adrenal_gland_left"), "wrong-side", "adrenal_gland_left", ("organ-absent",)),
    "image and labels mirrored": Defect(flip(0, image=True), "all-mirrored"),
    "labels mirrored": Defect(flip(0, image=False), "labels-flipped"),
    "labels back to front": Defect(flip(1, image=False), "labels-flipped"),
    "labels upside down": Defect(flip(2, image=False), "labels-flipped"),
    "image and labels upside down": Defect(flip(2, image=True), "upside-down"),
    "image and labels back to front": Defect(flip(1, image=True), "back-to-front"),
    "labels moved to the right": Defect(shift(0, 16), "labels-shifted"),
    "labels moved to the front": Defect(shift(1, -13), "labels-shifted"),
    "labels moved up": Defect(shift(2, 21), "labels-shifted", consequences=("cut-by-image-side",)),
    "labels out of the body": Defect(shift(1, 90), "labels-off-image", consequences=("cut-by-image-side", "cut-flat")),
    "second piece of a kidney": Defect(add_piece("kidney_left", 13), "several-pieces", "kidney_left"),
    "second piece of an adrenal gland": Defect(add_piece("adrenal_gland_right", 7), "several-pieces", "adrenal_gland_right"),
    "both kidneys in one label": Defect(rename("kidney_right", "kidney_left"), "several-pieces", "kidney_left", (*OF_VALUES, "organ-swallowed", "organ-elsewhere")),
    "specks": Defect(add_specks("pancreas"), "stray-specks", "pancreas"),
    "hole": Defect(fill_ball("kidney_right", 10, None), "hole", "kidney_right"),
    "another organ inside": Defect(fill_ball("kidney_left", 9, "pancreas"), "label-inside-another", "kidney_left", ("several-pieces",)),
    "cut along z": Defect(cut("kidney_left", 2, 0.4), "cut-flat", "kidney_left", OF_VALUES),
    "cut from below": Defect(cut("kidney_right", 2, 0.45, low=True), "cut-flat", "kidney_right", OF_VALUES),
    "cut along y": Defect(cut("kidney_right", 1, 0.45), "cut-flat", "kidney_right", OF_VALUES),
    "empty slice": Defect(empty_slices("kidney_left", 2, 1), "empty-slices", "kidney_left"),
    "three empty slices": Defect(empty_slices("stomach", 2, 3), "empty-slices", "stomach"),
    "empty sagittal slices": Defect(empty_slices("pancreas", 0, 2), "empty-slices", "pancreas"),
    "too large": Defect(grow("adrenal_gland_left", 12), "volume-unlike-others", "adrenal_gland_left", OF_VALUES),
    "too small": Defect(shrink("pancreas", 13), "volume-unlike-others", "pancreas", OF_VALUES),
    "impossibly small": Defect(shrink("kidney_left", 13), "volume-impossible", "kidney_left", ("cut-flat", *OF_VALUES)),
    "another tissue": Defect(brighten("pancreas", 110), "hu-unlike-others", "pancreas"),
    "fat": Defect(brighten("pancreas", -190), "hu-impossible", "pancreas"),
    "in air": Defect(inflate("kidney_left", 0.35), "organ-in-air", "kidney_left", OF_VALUES),
    "cut by the image": Defect(crop("kidney_left"), "cut-by-image-side", "kidney_left", OF_VALUES, {"trunk": "lung_left"}),
    "swallowed": Defect(rename("kidney_right", "duodenum"), "organ-swallowed", "kidney_right", ("several-pieces", "organ-elsewhere", *OF_VALUES)),
    "forgotten": Defect(rename("pancreas", None), "organ-absent", "pancreas"),
    "aorta ends early": Defect(cut("aorta", 2, 0.35), "ends-elsewhere", "aorta", OF_VALUES),
    "vena cava ends early below": Defect(cut("inferior_vena_cava", 2, 0.3, low=True), "ends-elsewhere", "inferior_vena_cava", OF_VALUES),
    "handful of voxels": Defect(shrink("adrenal_gland_left", 3), "handful-of-voxels", "adrenal_gland_left"),
    "slice out of line": Defect(move_slice("kidney_left", 22, rest=False), "jumping-slices", "kidney_left", ("stray-specks",)),
    "step": Defect(move_slice("kidney_right", 26, rest=True), "jumping-slices", "kidney_right", OF_VALUES),
    "coarse labels": Defect(coarsen, "repeated-slices", consequences=("jumping-slices", "cut-flat", *OF_VALUES)),
    "label of another place": Defect(move("adrenal_gland_left", (0, 45, -75)), "organ-elsewhere", "adrenal_gland_left", ("organ-absent", *OF_VALUES)),
    "labels of another patient": Defect(take_labels_of_another, "labels-off-image"),
}  # fmt: skip

HARMLESS = {
    # As the defects above, but no larger than what annotators and patients differ by.
    "labels moved by a voxel": shift(0, 4),
    "small hole": fill_ball("kidney_right", 3.5, None),
    "brighter by 30 HU": brighten("pancreas", 30),
    "a little larger": grow("kidney_left", 4.8),
    "a little air at the border": inflate("kidney_left", 0.02),
    "tip cut off": cut("kidney_left", 2, 0.07),
    "moved by half a centimetre": move("pancreas", (0, -4, 5)),
    "aorta ends a little early": cut("aorta", 2, 0.05),
}
