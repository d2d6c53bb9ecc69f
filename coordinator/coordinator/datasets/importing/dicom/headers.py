"""What is needed of the headers of a folder's files; each file is opened once, and no pixel is read."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import Dataset, dcmread, uid

from contract.errors import CaseError
from coordinator.datasets.importing.dicom.frames import DECODED, GROUP_TAGS, MULTI_FRAME, read_slices, transfer_syntax
from coordinator.datasets.importing.dicom.labelobjects import KINDS, LABEL_TAGS, read_label_object
from coordinator.datasets.importing.dicom.naming import PERSONAL_TAGS, personal_words
from coordinator.datasets.importing.dicom.quiet import quietly
from coordinator.datasets.importing.dicom.scans import LabelObject, Series
from coordinator.datasets.importing.dicom.slices import Slice, arrange

SLICE_TAGS = (
    "SOPClassUID", "Modality", "ImageType", "SeriesInstanceUID", "FrameOfReferenceUID", "SeriesNumber",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "SamplesPerPixel",
    "BitsAllocated", "NumberOfFrames", "RescaleSlope", "RescaleIntercept", "RescaleType", "ConvolutionKernel",
)  # fmt: skip
ABOUT_TAGS = ("FrameOfReferenceUID", "SeriesNumber", "ConvolutionKernel")
NO_DICOM, LOCALIZERS, ONE_SLICE, DIRECTORY = "files that are no DICOM", "localizers", "series of one slice", "DICOMDIR"
DAMAGED = "damaged DICOM files"


@dataclass(frozen=True, slots=True)
class Content:
    """What lies in a folder.

    Attributes:
        folder: its path below the source; "" for the source itself.
        series: its CT series of at least two slices.
        labels: its SEG and RTSTRUCT objects.
        left_out: reason -> how many files.
        personal: words of the headers that say who or where somebody was.
    """

    folder: str
    series: tuple[Series, ...]
    labels: tuple[LabelObject, ...]
    left_out: Mapping[str, int]
    personal: frozenset[str]


@dataclass(slots=True)
class _Sorted:
    """Files of a folder, sorted by what they are."""

    slices: dict[str, list[tuple[str, list[Slice] | str]]] = field(default_factory=lambda: defaultdict(list))
    about: dict[str, tuple[str, ...]] = field(default_factory=dict)
    labels: list[LabelObject] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    damages: list[str] = field(default_factory=list)
    personal: set[str] = field(default_factory=set)
    known: set[str | None] = field(default_factory=set)


def read_folder(folder: str, source: Path, files: Sequence[str]) -> Content:
    """Read the headers of a folder's files.

    Args:
        folder: its path below the source.
        source: the folder of all.
        files: paths below the source of the files in this folder.
    """
    kept = _Sorted()
    with quietly():
        for file in files:
            header = _read_header(source / file)
            if header is None:
                kept.left_out[NO_DICOM] += 1
            elif isinstance(header, str):
                kept.damages.append(header)
            else:
                try:
                    if (key := header.get("SeriesInstanceUID")) not in kept.known:  # they are alike in a series
                        kept.known.add(key)
                        kept.personal |= personal_words(header)
                    _sort_in(header, file, kept)
                except Exception as error:  # noqa: BLE001  # values are parsed when they are asked for
                    kept.damages.append(_describe_damage(type(error).__name__))
        series = [_make_series(uid, items, kept) for uid, items in sorted(kept.slices.items()) if not _is_single(items)]
    kept.left_out[DAMAGED] += 0 if series else len(kept.damages)
    kept.left_out[ONE_SLICE] += sum(map(_is_single, kept.slices.values()))
    left_out = {reason: n for reason, n in kept.left_out.items() if n}
    series.sort(key=lambda item: (len(item.number), item.number))
    return Content(folder, tuple(series), tuple(kept.labels), left_out, frozenset(kept.personal))


def _sort_in(header: Dataset, file: str, kept: _Sorted) -> None:
    """Note a file as a slice, as labels, or as left out."""
    kind = str(header.get("SOPClassUID") or "")
    if _is_directory(header):
        kept.left_out[DIRECTORY] += 1
    elif kind in KINDS:
        kept.labels.append(read_label_object(header, file))
    elif kind != uid.CTImageStorage and kind not in MULTI_FRAME:
        name = uid.UID(kind).name
        kept.left_out[f"other objects ({name if name != kind else 'unknown'})"] += 1
    elif "LOCALIZER" in (header.get("ImageType") or []):
        kept.left_out[LOCALIZERS] += 1
    else:
        series = str(header.get("SeriesInstanceUID") or "")
        if series not in kept.about:
            kept.about[series] = tuple(str(header.get(tag) or "?") for tag in ABOUT_TAGS)
        kept.slices[series].append((file, read_slices(header, file)))


def _is_directory(header: Dataset) -> bool:
    """Whether a file is a DICOMDIR, a list of others."""
    meta = getattr(header, "file_meta", None)
    return meta is not None and meta.get("MediaStorageSOPClassUID") == uid.MediaStorageDirectoryStorage


def _make_series(key: str, items: Sequence[tuple[str, list[Slice] | str]], kept: _Sorted) -> Series:
    """The series of slices, in order where they form a grid."""
    frame, number, kernel = kept.about[key]
    files = tuple(file for file, _ in items)
    slices = [item for _, several in items if not isinstance(several, str) for item in several]
    problems = kept.damages + [item for _, item in items if isinstance(item, str)]
    if not problems:
        try:
            ordered, grid = arrange(slices)
        except CaseError as error:
            problems = [f"{error}; export the series again, or move its folder away"]
        else:
            return Series(key, frame, number, kernel, tuple(dict.fromkeys(ordered)), len(slices), grid)
    return Series(key, frame, number, kernel, files, len(slices) or len(items), problem=problems[0])


def _is_single(items: Sequence[tuple[str, list[Slice] | str]]) -> bool:
    return len(items) == 1 and not isinstance(items[0][1], str) and len(items[0][1]) == 1


def _read_header(path: Path) -> Dataset | str | None:
    """The header of a file; None where it is no DICOM, what is wrong with it where it is damaged."""
    if not path.is_file():  # a pipe would be waited for
        return None
    with path.open("rb") as stream:
        start = stream.read(132)
        has_preamble = start[128:] == b"DICM"
        if not has_preamble and not _may_lack_preamble(start):
            return None
        stream.seek(0)
        try:
            header = dcmread(
                stream, stop_before_pixels=True, force=not has_preamble,
                specific_tags=[*SLICE_TAGS, *LABEL_TAGS, *PERSONAL_TAGS],
            )  # fmt: skip
            missing = _missing_bytes(header, path.stat().st_size - stream.tell())
            if header.get("SOPClassUID") in MULTI_FRAME:
                stream.seek(0)
                header.update(dcmread(stream, True, force=not has_preamble, specific_tags=list(GROUP_TAGS)))
            is_whole = _is_directory(header) or ("SOPClassUID" in header and "SeriesInstanceUID" in header)
        except Exception as error:  # noqa: BLE001  # whatever a damaged file raises
            return _describe_damage(type(error).__name__) if has_preamble else None
    if not is_whole:
        return _describe_damage("its header ends early") if has_preamble else None
    return _describe_damage(f"{missing} bytes of pixels are missing") if missing > 0 else header


def _describe_damage(what: str) -> str:
    return f"files must be whole, but one in the folder is damaged ({what}); copy the folder again"


def _may_lack_preamble(start: bytes) -> bool:
    """Whether a file begins with an element of the groups with which files without a preamble do."""
    return len(start) > 8 and start[:2] in (b"\x02\0", b"\x08\0") and start[3] == 0


def _missing_bytes(header: Dataset, rest: int) -> int:
    """How many bytes of uncompressed pixels a file lacks, of `rest` bytes from the tag of its pixels on."""
    syntax = transfer_syntax(header)
    if header.get("SOPClassUID") not in {uid.CTImageStorage, *MULTI_FRAME} or syntax not in DECODED:
        return 0
    if syntax.is_encapsulated or "Rows" not in header:
        return int(rest <= 0)
    frames = int(header.get("NumberOfFrames") or 1)
    size = frames * int(header.Rows) * int(header.Columns) * int(header.BitsAllocated) // 8
    return size + (8 if syntax.is_implicit_VR else 12) - rest
