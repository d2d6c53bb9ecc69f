"""The slices that a file holds: one, or in objects of many frames one a frame; or why they can't be used."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from pydicom import Dataset, uid

from coordinator.datasets.importing.dicom.slices import Slice

MULTI_FRAME = frozenset({uid.EnhancedCTImageStorage, uid.LegacyConvertedEnhancedCTImageStorage})
PLACE_TAGS = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
FILE_TAGS = ("SeriesInstanceUID", "Rows", "Columns", "BitsAllocated")
FRAME_TAGS: Mapping[str, str] = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RescaleType": "PixelValueTransformationSequence",
}
"""What each slice must state -> the functional group that states it in objects of many frames."""
GROUP_TAGS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
DECODED = frozenset(
    {
        uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.JPEGBaseline8Bit,
        uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEGLSNearLossless,
        uid.JPEG2000Lossless, uid.JPEG2000, uid.RLELossless,
    }
)  # fmt: skip
"""Transfer syntaxes that dcm2niix reads, as it was built for the package index (its first line names the libraries)."""

Get = Callable[[str], Any]


def read_slices(header: Dataset, file: str) -> list[Slice] | str:
    """The slices of a file, or why they can't be used.

    Args:
        header: of a CT image, with the functional groups where it has many frames.
        file: its path below the source.
    """
    if (syntax := transfer_syntax(header)) not in DECODED:
        return (
            f"pixels must be stored in a way that dcm2niix reads, but they are {_name(syntax)}; decompress the files, "
            "such as by dcmconv or gdcmconv --raw"
        )
    if str(header.SOPClassUID) not in MULTI_FRAME:
        frames: list[Get] = [header.get]
    else:
        frames = [_read_groups(header, frame) for frame in header.get("PerFrameFunctionalGroupsSequence") or []]
    slices = []
    for get in frames:
        missing = [tag for tag in FILE_TAGS if header.get(tag) in (None, "")]
        missing += [tag for tag in FRAME_TAGS if get(tag) in (None, "") and tag != "RescaleType"]
        if missing:
            return f"headers must state {', '.join(missing)}, but one doesn't; export the series again"
        if get("RescaleType") not in (None, "", "HU") or int(header.get("SamplesPerPixel") or 1) != 1:
            return "voxels must be HU, but a header says that they are something else; take the CT series itself"
        position, axes, pixel_mm = (tuple(float(number) for number in get(tag)) for tag in PLACE_TAGS)
        numbers = (*position, *axes, *pixel_mm)
        if (len(position), len(axes), len(pixel_mm)) != (3, 6, 2) or not all(map(math.isfinite, numbers)):
            return "headers must state places by 3, 6 and 2 numbers, but one doesn't; export the series again"
        slices.append(Slice(file, position, axes, pixel_mm, (int(header.Rows), int(header.Columns))))
    return slices or "objects of many frames must say where each lies, but one doesn't; export the series again"


def functional_group(header: Dataset, frame: Dataset, keyword: str) -> Dataset | None:
    """A functional group of a frame: its own, or that which all share; None where there is neither."""
    shared = header.get("SharedFunctionalGroupsSequence") or [Dataset()]
    groups = frame.get(keyword) or shared[0].get(keyword) or [None]
    group: Dataset | None = groups[0]
    return group


def transfer_syntax(header: Dataset) -> uid.UID:
    """How a file is written; without a word on it as pydicom could read it."""
    meta = getattr(header, "file_meta", None)
    syntax = str(meta.get("TransferSyntaxUID") or "") if meta is not None else ""
    if syntax:
        return uid.UID(syntax)
    return uid.ImplicitVRLittleEndian if header.original_encoding[0] else uid.ExplicitVRLittleEndian


def _read_groups(header: Dataset, frame: Dataset) -> Get:
    def get(tag: str) -> Any:  # noqa: ANN401  # as pydicom types values
        group = functional_group(header, frame, FRAME_TAGS[tag])
        return None if group is None else group.get(tag)

    return get


def _name(syntax: uid.UID) -> str:
    return syntax.name if syntax.name != syntax else "of an unknown kind"
