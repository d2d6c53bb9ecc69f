"""Whether the body in an image is as large as a body: a wrong spacing makes a giant or a doll of it.

image ──► a few axial slices, coarsely ──► voxels denser than air ──► the largest piece ──► its width and depth
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_opening, label

from contract.volumes import Volume
from coordinator.datasets.audit.findings import Finding, Place, Weight
from coordinator.datasets.audit.outliers import judge_ratios
from coordinator.datasets.hounsfield import BODY_HU

LINES = 128
"""Along each axis of a slice, at most twice as many: enough for a width within 2 %."""
SLICES = 9
"""That are looked at, evenly spread; their median is taken."""
WIDTH_MM = (80.0, 700.0)
"""From side to side: newborns have trunks of about 100 mm, and a scanner's opening is at most 850 mm wide, of which it
sees at most 700 mm."""
DEPTH_MM = (50.0, 600.0)
"""From front to back."""
CROSS_SECTION_CM2 = (40.0, 3000.0)
"""Of the body in an axial slice: between an ellipse of the least and of the greatest sizes."""
WIDTH_RATIO = 2.0
"""To the middle case's; slim and obese adults differ by less."""


@dataclass(frozen=True, slots=True)
class BodyMeasures:
    """The body in an image, at the middle one of the slices that were looked at.

    Attributes:
        width_mm: from side to side.
        depth_mm: from front to back.
        cross_section_cm2: of the body in the slice, with the air within it left out.
        is_whole: whether no side of the slice cuts the body; only then it can be too small.
        middle: voxel of the RAS+ array in its slice.
    """

    width_mm: float
    depth_mm: float
    cross_section_cm2: float
    is_whole: bool
    middle: tuple[int, int, int]


def measure_body(image: Volume) -> BodyMeasures | None:
    """Measure the body in the axial slices of an image; None where there is none.

    Args:
        image: (X, Y, Z) voxels in HU.
    """
    x_mm, y_mm, _ = image.spacing_mm
    steps = [max(1, length // LINES) for length in image.grid.shape[:2]]
    found = []
    for z in np.unique(np.linspace(0, image.grid.shape[2] - 1, SLICES).round().astype(int)).tolist():
        body = _largest_piece(np.greater(image.array[:: steps[0], :: steps[1], z], BODY_HU))
        if not body.any():
            continue
        columns, rows = np.flatnonzero(body.any(axis=1)), np.flatnonzero(body.any(axis=0))
        cuts = body[0].any() or body[-1].any() or body[:, 0].any() or body[:, -1].any()
        found.append(
            BodyMeasures(
                width_mm=float((columns[-1] - columns[0] + 1) * steps[0] * x_mm),
                depth_mm=float((rows[-1] - rows[0] + 1) * steps[1] * y_mm),
                cross_section_cm2=float(body.sum() * steps[0] * steps[1] * x_mm * y_mm / 100),
                is_whole=not cuts,
                middle=(int(columns.mean()) * steps[0], int(rows.mean()) * steps[1], z),
            )
        )
    return sorted(found, key=lambda body: body.width_mm)[len(found) // 2] if found else None


def judge_bodies(measures: Mapping[str, BodyMeasures | None]) -> list[Finding]:
    """Findings about bodies of a size that no human has, then about sizes far from the dataset's."""
    bodies = {case: body for case, body in measures.items() if body is not None}
    findings = [finding for case, body in bodies.items() if (finding := _judge_size(case, body))]
    judged = {finding.case for finding in findings}
    widths = {case: body.width_mm for case, body in bodies.items() if body.is_whole and case not in judged}
    return [*findings, *judge_ratios("body-size-far", "the body's width", widths, WIDTH_RATIO)]


def _largest_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected piece, without the thin table and blankets."""
    pieces, count = label(binary_opening(np.pad(mask, 1, mode="edge")))
    pieces = pieces[1:-1, 1:-1]
    if not count:
        return np.zeros_like(mask)
    return np.asarray(pieces == np.bincount(pieces[pieces > 0]).argmax() if pieces.any() else pieces > 0)


def _judge_size(case: str, body: BodyMeasures) -> Finding | None:
    size = f"{body.width_mm:.0f} x {body.depth_mm:.0f} mm wide and deep, {body.cross_section_cm2:.0f} cm2 across"
    limits = ((body.width_mm, WIDTH_MM), (body.depth_mm, DEPTH_MM), (body.cross_section_cm2, CROSS_SECTION_CM2))
    if any(value > most for value, (_, most) in limits):
        kind, text = "body-too-large", f"the body is {size}: larger than a human's"
    elif body.is_whole and any(value < least for value, (least, _) in limits):
        kind, text = "body-too-small", f"the body is {size}: smaller than a human's"
    else:
        return None
    return Finding(
        kind,
        Weight.WRONG,
        text,
        "compare the spacing with the DICOM files: such a body comes of a wrong one",
        case=case,
        number=body.width_mm,
        unit="mm",
        place=Place(body.middle),
    )
