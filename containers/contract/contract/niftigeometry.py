"""Where the voxels of a NIfTI file lie: its affine in mm, from sform or qform, as nibabel and ITK take it."""

import math
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.volumeutils import shape_zoom_affine
from numpy.typing import NDArray

from contract.errors import CaseError
from contract.grids import Grid

NEARLY_SINGULAR = 1e-6
"""Smallest ratio of voxel volume to the product of the spacings; a real shear is far above it."""
LEAST_SPACING_MM, MOST_SPACING_MM, MOST_EXTENT_MM, MOST_ORIGIN_MM = 0.01, 100.0, 10_000.0, 1e6
"""Beyond what any CT has: of micrometre scanners, of scouts, of whole bodies."""
UNITS = {0: ("unknown", 1.0), 1: ("meter", 1000.0), 2: ("mm", 1.0), 3: ("micron", 0.001)}
"""Of xyzt_units: name, mm."""
LONGER_BY_ROUNDING = 1e-3
"""A quaternion whose squared length is above 1 by less is taken as one of length 1."""

Affine = NDArray[np.float64]


def read_affine(path: Path, fields: nib.Nifti1Header, shape: tuple[int, int, int]) -> tuple[Affine, list[str]]:
    """The affine of a header, which is repaired so that others read the same from what is written with it.

    Args:
        path: of the file, for messages.
        fields: the header; geometry that can't be meant is replaced by what is taken.
        shape: of the volume.

    Returns:
        (4, 4) voxel -> RAS mm; and what is odd.

    Raises:
        CaseError: no affine that a CT can have.
    """
    notes: list[str] = []
    _repair_codes(fields, notes)
    qform, problem = _read_qform(fields, notes)
    affine = _choose_form(path, fields, (qform, problem), shape, notes)
    code = int(fields["xyzt_units"]) & 7
    unit, factor = UNITS.get(code, ("", 1.0))
    if not unit:
        notes.append(f"unit {code} of xyzt_units is not defined; the affine was taken as mm")
    if factor != 1:
        affine = affine.copy()
        affine[:3] = affine[:3] * factor if factor > 1 else affine[:3] / round(1 / factor)
        notes.append(f"the affine is in {unit}; it was converted to mm")
    _require_ct(path, affine, shape, unit if factor != 1 else "mm")
    return affine, notes


def _repair_codes(fields: nib.Nifti1Header, notes: list[str]) -> None:
    """Take codes that NIfTI does not define as none, as nibabel does."""
    for name in ("sform_code", "qform_code"):
        code = int(fields[name])
        if code not in nib.nifti1.xform_codes.value_set():
            notes.append(f"{name} {code} is not defined; it was taken as 0, no orientation (other programs differ)")
            fields[name] = 0


def _read_qform(fields: nib.Nifti1Header, notes: list[str]) -> tuple[Affine | None, str]:
    """The qform; None where its code is 0, or with the reason where it is unsound."""
    found: list[str] = []
    problem = _repair_sizes(fields, found)
    if int(fields["qform_code"]) == 0:
        return None, problem
    problem = problem or _repair_quaternion(fields, found)
    if problem:
        return None, problem
    affine = np.asarray(fields.get_qform(), np.float64)
    if not np.isfinite(affine).all():
        return None, "its offset is not finite"
    notes += found
    return affine, ""


def _repair_sizes(fields: nib.Nifti1Header, found: list[str]) -> str:
    """Make voxel sizes positive and pixdim[0] 1 or -1, by its sign as ITK does; returns what else is wrong."""
    sign, sizes = float(fields["pixdim"][0]), np.asarray(fields["pixdim"][1:4], np.float64)
    if sign not in (-1.0, 1.0):
        fields["pixdim"][0] = -1 if sign < 0 else 1
        found.append(f"pixdim[0] must be 1 or -1, but is {sign:g}; it was taken as {fields['pixdim'][0]:g}")
    fields["pixdim"][1:4] = np.where(sizes == 0, 1, np.abs(sizes))
    if not (np.isfinite(sizes).all() and sizes.all()):
        return f"its voxel sizes (pixdim) are {sizes.tolist()}"
    if (sizes < 0).any():
        found.append(f"voxel sizes (pixdim) are {sizes.tolist()}; they were taken as positive (other programs differ)")
    return ""


def _repair_quaternion(fields: nib.Nifti1Header, found: list[str]) -> str:
    """Make a quaternion that rounding has made too long one of length 1, as ITK does; returns what else is wrong."""
    names = ("quatern_b", "quatern_c", "quatern_d")
    quaternion = np.array([float(fields[name]) for name in names])
    squared = float(quaternion @ quaternion)
    if not math.isfinite(squared) or squared > 1 + LONGER_BY_ROUNDING:
        return f"its quaternion must have a length of at most 1, but has {math.sqrt(squared):.6g}"
    try:
        fields.get_qform_quaternion()
    except ValueError:
        for name, value in zip(names, quaternion / math.sqrt(squared), strict=True):
            fields[name] = value
        found.append(f"the qform's quaternion is too long by {squared - 1:.2g}, a rounding error; w = 0 was taken")
    return ""


def _choose_form(
    path: Path,
    fields: nib.Nifti1Header,
    qform: tuple[Affine | None, str],
    shape: tuple[int, int, int],
    notes: list[str],
) -> Affine:
    """The sform where it is sound, then the qform, then nibabel's fallback where there is none of them."""
    affine, problem = qform
    if int(fields["sform_code"]) == 0:
        if affine is not None:
            return affine
        if problem:
            raise CaseError(f"{path}: affine must be given, but there is no sform, and {problem}; repair the header")
        notes.append("no orientation: sform and qform codes are 0; nibabel's fallback was used (LAS, centred)")
        return np.asarray(shape_zoom_affine(shape, fields["pixdim"][1:4], fields.default_x_flip), np.float64)
    sform = np.asarray(fields.get_sform(), np.float64)
    wrong = _describe_unsound(sform)
    if wrong and affine is not None and not _describe_unsound(affine):
        notes.append(f"the sform {wrong}; the qform was used")
        fields["sform_code"] = 0
        return affine
    if affine is not None and not wrong:
        distance_mm = Grid(shape, affine).distance_mm(Grid(shape, sform))
        if not distance_mm <= 0.01:
            notes.append(f"qform and sform disagree by {distance_mm:.3g} mm; the sform was used")
    elif problem and not wrong and int(fields["qform_code"]) != 0:
        notes.append(f"the qform is unsound: {problem}; the sform was used")
    return sform


def _describe_unsound(affine: Affine) -> str:
    """Why an affine doesn't place voxels in the world; empty where it does."""
    if not np.isfinite(affine).all():
        return "must be finite, but holds NaN or infinity"
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    # Scaled before the determinant, which would overflow for huge ones and vanish for tiny ones.
    scaled = affine[:3, :3] / np.where(spacing > 0, spacing, 1)
    if not (np.isfinite(spacing).all() and spacing.all() and abs(np.linalg.det(scaled)) > NEARLY_SINGULAR):
        return f"must span three dimensions, but it is singular (spacing {spacing.round(4).tolist()} mm)"
    return ""


def _require_ct(path: Path, affine: Affine, shape: tuple[int, int, int], unit: str) -> None:
    """Refuse an affine that doesn't place voxels as those of a CT can lie."""
    if wrong := _describe_unsound(affine):
        raise CaseError(f"{path}: affine {wrong}; repair the header")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    _require_range(path, "voxel sizes", spacing, (LEAST_SPACING_MM, MOST_SPACING_MM), unit)
    _require_range(path, "extents", spacing * shape, (0.0, MOST_EXTENT_MM), unit)
    _require_range(path, "the origin's coordinates", affine[:3, 3], (-MOST_ORIGIN_MM, MOST_ORIGIN_MM), unit)


def _require_range(path: Path, what: str, values_mm: NDArray[Any], limits: tuple[float, float], unit: str) -> None:
    if not ((values_mm >= limits[0]) & (values_mm <= limits[1])).all():
        values = ", ".join(f"{value:.4g}" for value in values_mm)
        raise CaseError(
            f"{path}: {what} must lie in {limits[0]:g} to {limits[1]:g} mm, as a CT's do, but are {values} mm "
            f"(the header's unit is {unit}); repair the header: affine, pixdim and xyzt_units"
        )
