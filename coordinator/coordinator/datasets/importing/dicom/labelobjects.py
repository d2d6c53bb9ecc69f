"""What SEG and RTSTRUCT objects say of themselves: which series they are of, and which organs they hold."""

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Final

from pydicom import Dataset, uid

from coordinator.datasets.importing.descriptions import describe_known
from coordinator.datasets.importing.dicom.scans import Kind, LabelObject

KINDS: Final[dict[str, Kind]] = {
    uid.SegmentationStorage: "SEG",
    "1.2.840.10008.5.1.4.1.1.66.7": "SEG",  # Label Map Segmentation, of 2024
    uid.RTStructureSetStorage: "RTSTRUCT",
}
LABEL_TAGS = (
    "ReferencedSeriesSequence", "SegmentSequence", "SegmentationType", "ReferencedFrameOfReferenceSequence",
    "StructureSetROISequence", "ROIContourSequence",
)  # fmt: skip
CLOSED = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"})
"""Geometric types of contours that enclose a region."""


def read_label_object(header: Dataset, file: str) -> LabelObject:
    """Read what a label object holds.

    Args:
        header: of the object.
        file: its path below the source.
    """
    kind = KINDS[str(header.SOPClassUID)]
    return _read_segmentation(header, file) if kind == "SEG" else _read_structures(header, file)


def closed_contours(header: Dataset) -> dict[int, list[Dataset]]:
    """Number of each ROI of a structure set -> its contours that enclose a region."""
    return {
        int(drawn.ReferencedROINumber): [
            contour for contour in drawn.get("ContourSequence") or [] if contour.get("ContourGeometricType") in CLOSED
        ]
        for drawn in header.get("ROIContourSequence") or []
    }


def organ_name(label: object, number: int) -> str:
    """A segment's label as the name of an organ: lower-case letters and digits, with `_` for all else.

    Names of TotalSegmentator keep their capitals (vertebrae_L1), so that label mappings find them.
    """
    name = re.sub(r"[\W_]+", "_", str(label or "").casefold()).strip("_")
    return _names_with_capitals().get(name, name) or f"segment_{number}"


@cache
def _names_with_capitals() -> dict[str, str]:
    names = (describe_known("totalsegmentator").labels or {}).values()
    return {name.casefold(): name for name in names if name != name.casefold()}


def _read_segmentation(header: Dataset, file: str) -> LabelObject:
    references = header.get("ReferencedSeriesSequence") or []
    kind = str(header.get("SegmentationType") or "")
    organs = [
        (int(item.SegmentNumber), organ_name(item.get("SegmentLabel"), int(item.SegmentNumber)))
        for item in header.get("SegmentSequence") or []
        if int(item.SegmentNumber)  # 0 is the background of a label map
    ]
    return LabelObject(
        file,
        "SEG",
        tuple(str(item.get("SeriesInstanceUID")) for item in references),
        str(header.get("FrameOfReferenceUID") or ""),
        dict(organs),
        is_fractional=kind == "FRACTIONAL",
        problem=_find_problem(organs),
    )


def _read_structures(header: Dataset, file: str) -> LabelObject:
    frames = header.get("ReferencedFrameOfReferenceSequence") or []
    series = [
        str(item.get("SeriesInstanceUID"))
        for frame in frames
        for study in frame.get("RTReferencedStudySequence") or []
        for item in study.get("RTReferencedSeriesSequence") or []
    ]
    names = {int(roi.ROINumber): roi.get("ROIName") for roi in header.get("StructureSetROISequence") or []}
    contours = closed_contours(header)
    organs = [(number, organ_name(name, number)) for number, name in names.items() if contours.get(number)]
    others = [organ_name(name, number) for number, name in names.items() if not contours.get(number)]
    frame = str(frames[0].get("FrameOfReferenceUID") or "") if len(frames) == 1 else ""
    return LabelObject(
        file, "RTSTRUCT", tuple(series), frame, dict(organs), tuple(sorted(others)), problem=_find_problem(organs)
    )


def _find_problem(organs: Iterable[tuple[int, str]]) -> str | None:
    counts = Counter(organ for _, organ in organs)
    if not counts:
        return "must hold an organ, but holds no segment or closed contour; export it again"
    if repeated := sorted(organ for organ, n in counts.items() if n > 1):
        return f"organs must have different names, but {', '.join(repeated)} came twice; rename them where it was made"
    return None
