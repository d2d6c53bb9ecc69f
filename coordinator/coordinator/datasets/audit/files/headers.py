"""What the headers of a case's files say of its grid, and how its labels are stored; and which grids stand out.

header ──► forms, orientation, spacing, extent, angles of the axes ──► judged alone, and against the other cases
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import nibabel as nib
import numpy as np

from contract.grids import Grid
from contract.niftigeometry import UNITS
from contract.niftiheaders import SPATIAL_UNITS
from contract.volumes import Volume, read_header
from coordinator.datasets.audit.findings import Finding, Repair, Weight
from coordinator.datasets.audit.outliers import judge_places, judge_ratios

FORMS_AGREE_MM = 0.01
"""As for the contract's note: rounding of the qform's quaternion stays below it."""
ALIKE_SIZES = 0.01
"""Relative difference of voxel sizes that rounding may explain. Of a sform that is wrong as a whole, such as one that
was never set, the size is 1 mm: a qform made of it would destroy what is right."""
SKEWED = 5e-5
"""Cosine between two axes. SimpleITK 2.5.7 reads 3e-5 and refuses 2e-4; float32 itself keeps it below 1e-6."""
NATIVE_MATRICES = (512, 768, 1024)
"""Voxels along both axes of a scanner's slice; an image that was resampled to 1 mm has as many only by chance."""
SPACING_RATIO, EXTENT_RATIO, PLACE_MM = 3.0, 4.5, 1500.0
"""How far from the middle case always counts as near. Thick and thin slices of one protocol differ by up to 3, scans of
the abdomen alone and of the trunk with the legs by up to 4.5; the table's position moves a scan by up to 1.5 m."""
AXES = ("left to right", "back to front", "feet to head")


@dataclass(frozen=True, slots=True)
class LabelFile:
    """How a label map is stored.

    Attributes:
        dtype: of the stored numbers, such as `uint8`.
        slope: factor of the stored numbers; 1 where there is none.
        intercept: what is added to them; 0 where there is none.
        forms_apart_mm: as for the image.
        forms_alike: as for the image.
    """

    dtype: str
    slope: float
    intercept: float
    forms_apart_mm: float | None
    forms_alike: bool


@dataclass(frozen=True, slots=True)
class HeaderMeasures:
    """What the headers of a case say.

    Attributes:
        shape: (X, Y, Z) voxels of the RAS+ array.
        spacing_mm: of the RAS+ array.
        centre_mm: RAS position of the volume's middle.
        forms_apart_mm: between qform and sform at the farthest corner; None where there are not both.
        forms_alike: whether qform and sform have one voxel size and one orientation, so that both may be of this scan.
        has_orientation: whether there is a qform or an sform.
        is_plain: whether the affine has nothing but the directions of the axes: no size, no place.
        skew: greatest cosine between two axes; 0 for right angles.
        labels: how the label map is stored; None where there is none.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    centre_mm: tuple[float, float, float]
    forms_apart_mm: float | None
    forms_alike: bool
    has_orientation: bool
    is_plain: bool
    skew: float
    labels: LabelFile | None

    @property
    def extent_mm(self) -> tuple[float, float, float]:
        """Size of the field of view."""
        x, y, z = (n * mm for n, mm in zip(self.shape, self.spacing_mm, strict=True))
        return (x, y, z)


def measure_headers(image: Volume, labels_path: Path | None) -> HeaderMeasures:
    """Measure the headers of a case.

    Args:
        image: the image.
        labels_path: of its labels; None where there are none.

    Raises:
        CaseError: the header of the labels can't be read.
    """
    affine = image.grid.affine
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    angles = np.abs(axes.T @ axes - np.eye(3))
    x, y, z = (affine[:3, :3] @ ((np.array(image.grid.shape) - 1) / 2) + affine[:3, 3]).tolist()
    stored = image.stored.affine
    return HeaderMeasures(
        shape=image.grid.shape,
        spacing_mm=image.spacing_mm,
        centre_mm=(x, y, z),
        forms_apart_mm=_measure_forms(image.header, image.stored.shape),
        forms_alike=_are_alike(image.header),
        has_orientation=bool(image.header["qform_code"] or image.header["sform_code"]),
        is_plain=bool(np.isin(np.abs(stored[:3, :3]), (0, 1)).all() and not stored[:3, 3].any()),
        skew=float(angles.max()),
        labels=None if labels_path is None else _measure_label_file(labels_path),
    )


def judge_headers(measures: Mapping[str, HeaderMeasures]) -> list[Finding]:
    """Findings about each case's headers alone, then about grids that lie far from the dataset's."""
    findings: list[Finding] = []
    for case, of_case in measures.items():
        findings += _judge_forms(case, of_case)
        findings += _judge_spacing(case, of_case)
        findings += _judge_label_file(case, of_case.labels)
    return [*findings, *_judge_far_grids(measures)]


def _measure_forms(header: nib.Nifti1Header, shape: tuple[int, int, int]) -> float | None:
    """Millimetres between qform and sform at the farthest corner; None where there are not both."""
    if not (header["qform_code"] and header["sform_code"]):
        return None
    qform, sform = header.get_qform(), header.get_sform()
    factor = UNITS.get(int(header["xyzt_units"]) & SPATIAL_UNITS, ("", 1.0))[1]
    distance = factor * Grid(shape, qform).distance_mm(Grid(shape, sform))
    return distance if math.isfinite(distance) else None


def _are_alike(header: nib.Nifti1Header) -> bool:
    """Whether qform and sform have one voxel size and one orientation; where not, one of them is of another grid."""
    if not (header["qform_code"] and header["sform_code"]):
        return False
    qform, sform = header.get_qform(), header.get_sform()
    size, other_size = (np.linalg.norm(form[:3, :3], axis=0) for form in (qform, sform))
    if not np.allclose(size, other_size, rtol=ALIKE_SIZES):  # nor where one of them is not finite
        return False
    return bool(nib.aff2axcodes(qform) == nib.aff2axcodes(sform))


def _measure_label_file(path: Path) -> LabelFile:
    header = read_header(path)
    apart = _measure_forms(header.fields, header.grid.shape)
    dtype = header.dtype.newbyteorder("=").name
    return LabelFile(dtype, header.slope, header.intercept, apart, _are_alike(header.fields))


def _judge_forms(case: str, of_case: HeaderMeasures) -> Iterable[Finding]:
    of_labels = (of_case.labels.forms_apart_mm, of_case.labels.forms_alike) if of_case.labels else (None, False)
    forms: tuple[tuple[str, Literal["images", "labels"], float | None, bool], ...] = (
        ("image", "images", of_case.forms_apart_mm, of_case.forms_alike),
        ("labels", "labels", *of_labels),
    )
    for what, folder, apart_mm, is_alike in forms:
        if apart_mm is None or apart_mm <= FORMS_AGREE_MM:
            continue
        # What is less than half a voxel off falls onto the same voxel.
        weight = Weight.ODD if apart_mm < min(of_case.spacing_mm) / 2 else Weight.SUSPECT
        advice = "look whether the sform is right, since programs differ in which they take"
        yield Finding(
            "forms-disagree",
            weight,
            f"{what}: qform and sform are {apart_mm:.3g} mm apart at the farthest corner; the sform was taken",
            f"{advice}; `--fix` makes the qform agree" if is_alike else f"{advice}, and set the other one to it",
            case=case,
            number=apart_mm,
            unit="mm",
            repairs=(Repair(case, "qform", folder),) if is_alike else (),
        )
    if not of_case.has_orientation:
        yield Finding(
            "no-orientation",
            Weight.SUSPECT,
            "image has neither qform nor sform, so left and right are a guess (LAS was taken)",
            "convert the scan again, or set the orientation after a look at it",
            case=case,
        )
    if of_case.skew > SKEWED:
        degrees = math.degrees(math.asin(min(1.0, of_case.skew)))
        yield Finding(
            "sheared-grid",
            Weight.ODD,
            f"the image's axes are {degrees:.2g} degrees off a right angle",
            "nothing here; ITK, and tools that use it, refuse the file or take the qform instead: resample it for them",
            case=case,
            number=degrees,
            unit="degrees",
        )


def _judge_spacing(case: str, of_case: HeaderMeasures) -> Iterable[Finding]:
    """A finding where the spacing of exactly 1 mm is no scanner's."""
    if of_case.spacing_mm != (1.0, 1.0, 1.0):
        return
    ordered = sorted(of_case.shape)
    native = next((n for n in NATIVE_MATRICES if ordered.count(n) >= 2), None)
    if native is not None:
        why = f"with a scanner's matrix of {native} x {native}, which is hardly ever 1 mm fine"
    elif of_case.is_plain and of_case.has_orientation:
        why = "and an origin of 0, as a file has whose geometry was never written"
    else:
        return
    yield Finding(
        "fake-spacing",
        Weight.SUSPECT,
        f"spacing is exactly 1 x 1 x 1 mm, {why}",
        "take the spacing from the DICOM files; distances and volumes are wrong until then",
        case=case,
        number=float(max(of_case.shape)),
        unit="voxels",
    )


def _judge_label_file(case: str, labels: LabelFile | None) -> Iterable[Finding]:
    if labels is None:
        return
    if (labels.slope, labels.intercept) != (1.0, 0.0):
        yield Finding(
            "labels-scaled",
            Weight.SUSPECT,
            f"labels have a scale: slope {labels.slope:g} and intercept {labels.intercept:g} were applied",
            "save them as whole numbers without a scale, as `--fix` does: programs that read the stored numbers get "
            "other organs",
            case=case,
            number=labels.slope,
            repairs=(Repair(case, "round labels", "labels"),),
        )
    elif labels.dtype.startswith("float"):
        yield Finding(
            "labels-stored-as-floats",
            Weight.ODD,
            f"labels are stored as {labels.dtype}; they were rounded",
            "save them as whole numbers, such as uint8; `--fix` does",
            case=case,
            repairs=(Repair(case, "round labels", "labels"),),
        )
    elif labels.dtype in ("int64", "uint64"):
        yield Finding(
            "labels-of-8-bytes",
            Weight.ODD,
            f"labels are stored as {labels.dtype}, which some programs refuse",
            "save them as uint8 or uint16; `--fix` does",
            case=case,
            repairs=(Repair(case, "round labels", "labels"),),
        )


def _judge_far_grids(measures: Mapping[str, HeaderMeasures]) -> Iterable[Finding]:
    for axis, name in enumerate(AXES):
        spacing = {case: of_case.spacing_mm[axis] for case, of_case in measures.items()}
        extents = {case: of_case.extent_mm[axis] for case, of_case in measures.items()}
        yield from judge_ratios("spacing-far", f"spacing {name}", spacing, SPACING_RATIO)
        yield from judge_ratios("size-far", f"field of view {name}", extents, EXTENT_RATIO)
    centres = {case: of_case.centre_mm for case, of_case in measures.items()}
    yield from judge_places("place-far", centres, PLACE_MM)
