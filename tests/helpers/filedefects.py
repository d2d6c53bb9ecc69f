"""Defects of a case's files, as they are met in public datasets, to plant into a phantom."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field

import nibabel as nib
import numpy as np
from helpers.auditfiles import PLANTED, Case, Change, Spoil
from numpy.typing import NDArray
from scipy.ndimage import zoom

from contract.datasets import Dataset


@dataclass(frozen=True)
class Defect:
    """A change of a case, and the kinds of findings that it must lead to.

    Attributes:
        change: plants it.
        kinds: of the findings.
        in_field: field of view -> other kinds where that one differs.
    """

    change: Change
    kinds: tuple[str, ...]
    in_field: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def expected(self, field_of_view: str) -> tuple[str, ...]:
        """Kinds of findings in a field of view."""
        return self.in_field.get(field_of_view, self.kinds)


def _voxels(change: Callable[[NDArray[np.int16]], NDArray[np.generic]]) -> Change:
    """Replace the image's voxels."""

    def plant(case: Case) -> None:
        case.image = change(case.image.astype(np.int32))

    return plant


def _labels(change: Callable[[NDArray[np.uint8]], NDArray[np.generic]]) -> Change:
    def plant(case: Case) -> None:
        case.labels = change(case.labels)

    return plant


def _file(spoil: Spoil) -> Change:
    """Change the files after they were written."""
    return lambda case: spoil


def _header(change: Callable[[nib.Nifti1Image], object], *parts: str) -> Change:
    """Change the header of the image, the labels or both."""

    def spoil(dataset: Dataset) -> None:
        for part in parts:
            path = getattr(dataset, part)(PLANTED)
            volume = nib.load(path)
            copy = nib.Nifti1Image(np.asarray(volume.dataobj), None, volume.header)
            change(copy)
            nib.save(copy, path)

    return _file(spoil)


def _raw(path_of: str, change: Callable[[bytes], bytes]) -> Change:
    def spoil(dataset: Dataset) -> None:
        path = getattr(dataset, path_of)(PLANTED)
        path.write_bytes(change(path.read_bytes()))

    return _file(spoil)


def _affine(change: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Change:
    def plant(case: Case) -> None:
        case.affine = change(case.affine)

    return plant


def _slices(choose: Callable[[int], object]) -> Change:
    """Take some of the slices, of image and labels."""

    def plant(case: Case) -> None:
        kept = choose(case.image.shape[2])
        case.image, case.labels = case.image[:, :, kept], case.labels[:, :, kept]

    return plant


def _thin_slices(case: Case) -> None:
    case.image = zoom(case.image.astype(np.float32), (1, 1, 4), order=1).astype(np.int16)
    case.labels = zoom(case.labels, (1, 1, 4), order=0)
    case.affine[:, 2] /= 4


def _pad_corners(image: NDArray[np.int32]) -> NDArray[np.int32]:
    x, y, _ = np.meshgrid(*[np.linspace(-1, 1, n) for n in image.shape], indexing="ij", sparse=True)
    return np.where(x**2 + y**2 > 1.1, -3024, image)


def _fill(image: NDArray[np.int32]) -> NDArray[np.int32]:
    filled = image.copy()
    filled[: image.shape[0] // 5] = 0
    return filled


def _put_metal(image: NDArray[np.int32]) -> NDArray[np.int32]:
    image[20:25, 20:25, 4:12] += 3000
    return image.clip(-1024, 1000)


def _repeat(image: NDArray[np.int32]) -> NDArray[np.int32]:
    image[:, :, 6] = image[:, :, 5]
    return image


def _mirror(image: NDArray[np.int32]) -> NDArray[np.int32]:
    image[:, :, 7] = image[::-1, ::-1, 7]
    return image


def _blank(image: NDArray[np.int32]) -> NDArray[np.int32]:
    image[:, :, 8] = -1000
    return image


def _spoil_with_nan(image: NDArray[np.int32]) -> NDArray[np.float32]:
    spoilt = image.astype(np.float32)
    spoilt[3, 4, 5:7] = np.nan
    return spoilt


def _scale_labels(case: Case) -> Spoil:
    def spoil(dataset: Dataset) -> None:
        image = nib.Nifti1Image(case.labels * np.uint8(2), case.affine)
        image.header.set_slope_inter(0.5, 0)
        path = dataset.label(PLANTED)
        content = bytearray(image.to_bytes())
        content[112:120] = np.array([0.5, 0], "<f4").tobytes()  # scl_slope, scl_inter: nibabel resets them
        path.write_bytes(gzip.compress(bytes(content)))

    return spoil


def _reduce(hu: NDArray[np.generic]) -> NDArray[np.uint8]:
    """HU in 256 steps of 8.69, as the samples' 8-bit file has them."""
    return np.rint((hu.astype(np.float64) + 1100) / 8.69).clip(0, 255).astype(np.uint8)


def _store_8_bits(case: Case) -> Spoil:
    def spoil(dataset: Dataset) -> None:
        content = bytearray(nib.Nifti1Image(_reduce(case.image), case.affine).to_bytes())
        content[112:120] = np.array([8.69, -1100], "<f4").tobytes()
        dataset.image(PLANTED).write_bytes(gzip.compress(bytes(content)))

    return spoil


def _save_as_4d(dataset: Dataset) -> None:
    volume = nib.load(dataset.image(PLANTED))
    twice = np.stack([np.asarray(volume.dataobj)] * 2, axis=-1)
    nib.save(nib.Nifti1Image(twice, volume.affine), dataset.image(PLANTED))


def _save_as_rgb(dataset: Dataset) -> None:
    shape = nib.load(dataset.image(PLANTED)).shape
    picture = np.zeros(shape, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(picture, np.eye(4)), dataset.image(PLANTED))


def _copy_case(*, image: bool, labels: bool) -> Change:
    """Give the case the files of an earlier one."""

    def spoil(dataset: Dataset) -> None:
        if image:
            dataset.image(PLANTED).write_bytes(dataset.image("a").read_bytes())
        if labels:
            dataset.label(PLANTED).write_bytes(dataset.label("a").read_bytes())

    return _file(spoil)


def _disagree(volume: nib.Nifti1Image) -> None:
    moved = volume.header.get_sform()
    moved[2, 3] += 30
    volume.header.set_qform(moved, 1)


def _forget_orientation(volume: nib.Nifti1Image) -> None:
    volume.header["qform_code"] = volume.header["sform_code"] = 0


def _shear(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    sheared = affine.copy()
    sheared[1, 2] += 0.05 * affine[2, 2]
    return sheared


def _sheared(case: Case) -> Spoil:
    case.affine = _shear(case.affine)
    return _header(lambda volume: volume.header.set_qform(None, 0), "image", "label")(case)  # type: ignore[return-value]


def _scaled_affine(factor: float) -> Change:
    return _affine(lambda affine: np.diag([factor, factor, 1, 1]) @ affine)


DEFECTS = {
    "offset missing": Defect(_voxels(lambda hu: hu + 1024), ("hu-offset-missing",)),
    "offset missing, clipped at 0": Defect(_voxels(lambda hu: (hu + 1024).clip(0)), ("hu-offset-missing",)),
    "offset subtracted twice": Defect(_voxels(lambda hu: hu - 1024), ("hu-offset-twice",)),
    "ten times": Defect(_voxels(lambda hu: hu * 10), ("hu-scaled",)),
    "ten times with offset": Defect(_voxels(lambda hu: (hu + 1024) * 10), ("hu-scaled",)),
    "a tenth": Defect(_voxels(lambda hu: (hu / 10).astype(np.float32)), ("hu-scaled",)),
    "negated": Defect(_voxels(lambda hu: -hu), ("hu-inverted",)),
    "negated with offset": Defect(_voxels(lambda hu: 3071 - hu), ("hu-inverted",)),
    "sign lost": Defect(_voxels(lambda hu: hu.astype(np.int16).view(np.uint16)), ("hu-wrapped",)),
    "0 to 1": Defect(_voxels(lambda hu: ((hu + 1024) / 4095).astype(np.float32)), ("hu-normalised",)),
    "-1 to 1": Defect(_voxels(lambda hu: (hu.clip(-1000, 1000) / 1000).astype(np.float32)), ("hu-normalised",)),
    "z-score": Defect(_voxels(lambda hu: ((hu - hu.mean()) / hu.std()).astype(np.float32)), ("hu-normalised",)),
    "picture": Defect(_voxels(lambda hu: ((hu.clip(-160, 240) + 160) * 255 / 400).astype(np.int16)), ("grey-picture",)),
    "something else": Defect(_voxels(lambda hu: hu * 3 + 4000), ("not-hu",)),
    "soft-tissue window": Defect(_voxels(lambda hu: hu.clip(-160, 240)), ("hu-windowed",)),
    "wide window": Defect(_voxels(lambda hu: hu.clip(-325, 325)), ("hu-windowed",)),
    "clipped at 200": Defect(_voxels(lambda hu: hu.clip(-1024, 200)), ("hu-windowed",)),
    "metal clipped": Defect(_voxels(_put_metal), ("hu-clipped",)),
    "constant": Defect(_voxels(lambda hu: np.full_like(hu, -1000)), ("constant-image",)),
    "8 bits": Defect(_store_8_bits, ("8-bit-image", "scaled-image")),
    "8 bits in 16": Defect(_voxels(lambda hu: np.rint(_reduce(hu) * 8.69 - 1100).astype(np.int16)), ("8-bit-image",)),
    "padding": Defect(_voxels(_pad_corners), ("padding",)),
    "filled with 0": Defect(_voxels(_fill), ("filled-region",)),
    "forms of the image": Defect(_header(_disagree, "image"), ("forms-disagree",)),
    "forms of the labels": Defect(_header(_disagree, "label"), ("forms-disagree",)),
    "no orientation": Defect(_header(_forget_orientation, "image", "label"), ("no-orientation",)),
    "sheared": Defect(_sheared, ("sheared-grid",)),
    "labels as floats": Defect(_labels(lambda labels: labels.astype(np.float32)), ("labels-stored-as-floats",)),
    "labels of 8 bytes": Defect(_labels(lambda labels: labels.astype(np.int64)), ("labels-of-8-bytes",)),
    "labels scaled": Defect(_scale_labels, ("labels-scaled",)),
    "thin slices": Defect(_thin_slices, ("spacing-far",)),
    "short": Defect(_slices(lambda n: slice(n // 5)), ("size-far",)),
    "single slice": Defect(_slices(lambda n: slice(n // 2, n // 2 + 1)), ("single-slice", "size-far")),
    "far away": Defect(
        _affine(lambda affine: affine + np.array([[0] * 4, [0] * 4, [0, 0, 0, 4000], [0] * 4])), ("place-far",)
    ),
    "giant": Defect(_scaled_affine(4), ("body-too-large", "spacing-far")),
    # Where the sides cut the body, it may be a part of a large one.
    "doll": Defect(_scaled_affine(1 / 4), ("body-too-small", "spacing-far"), {"narrow": ("spacing-far",)}),
    "slice twice": Defect(_voxels(_repeat), ("doubled-slices",)),
    "slices missing": Defect(
        _slices(lambda n: [k for k in range(n) if not n // 3 <= k < n // 3 + n // 6 + 2]), ("missing-slices",)
    ),
    "slices shuffled": Defect(_slices(lambda n: np.random.default_rng(3).permutation(n)), ("slices-out-of-order",)),
    "slice of another scan": Defect(_voxels(_mirror), ("strange-slice",)),
    "blank slice": Defect(_voxels(_blank), ("blank-slices",)),
    "no organ": Defect(_labels(np.zeros_like), ("no-organ-labelled",)),
    "codes x 63": Defect(_labels(lambda labels: labels.astype(np.uint16) * 63), ("unknown-label-value",)),
    "interpolated labels": Defect(
        _labels(lambda labels: labels.astype(np.float32) * 0.9), ("labels-not-whole-numbers",)
    ),
    "labels shifted": Defect(
        _header(lambda v: v.header.set_sform(v.header.get_sform() + 1.7 * np.eye(4, k=3)), "label"), ("other-grid",)
    ),
    "labels missing": Defect(_file(lambda dataset: dataset.label(PLANTED).unlink()), ("no-labels",)),
    "image cut": Defect(_raw("image", lambda content: content[: len(content) // 2]), ("truncated-file",)),
    "labels cut": Defect(_raw("label", lambda content: content[: len(content) // 2]), ("truncated-file",)),
    "checksum": Defect(_raw("image", lambda content: content[:-8] + bytes(8)), ("corrupt-file",)),
    "empty file": Defect(_raw("image", lambda content: b""), ("empty-file",)),
    "not gzip": Defect(_raw("image", gzip.decompress), ("not-gzip",)),
    "not NIfTI": Defect(_raw("image", lambda content: gzip.compress(b"DICM" * 200)), ("not-nifti",)),
    "NaN": Defect(_voxels(_spoil_with_nan), ("voxels-not-finite",)),
    "4D": Defect(_file(_save_as_4d), ("not-3d",)),
    "RGB": Defect(_file(_save_as_rgb), ("no-scalar-image",)),
    "scan of another case": Defect(_copy_case(image=True, labels=True), ("same-scan",)),
    "scan of another case, other labels": Defect(_copy_case(image=True, labels=False), ("other-grid",)),
}
