"""DICOM as a layout: a CT series for each folder, and the SEG or RTSTRUCT that refers to it, wherever it lies."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from contract.errors import CaseError, UsageError
from contract.processes import count_processes, map_cases
from coordinator.datasets.importing.cases import NO_LABELS, Description, Found, SourceCase, tell_missing
from coordinator.datasets.importing.descriptions import propose_name
from coordinator.datasets.importing.dicom.headers import NO_DICOM, Content, read_folder
from coordinator.datasets.importing.dicom.naming import is_personal, name_cases
from coordinator.datasets.importing.dicom.scans import LabelObject, Scan, Series
from coordinator.datasets.importing.listing import Listing

FEW_FILES = 2000
"""Up to this many headers are read in this process: about a second's work, as long as others take to start."""
MOST_FOLDERS = 20
"""That a message lists."""
ARCHIVED = (".dcm", ".ima", "dicomdir")
"""Ends of names by which DICOM is suspected in an archive."""

Placed = tuple[str, Series]
"""The folder of a series, and the series."""


def find_dicom(listing: Listing) -> Found | None:
    """The cases of folders with DICOM files.

    Raises:
        UsageError: an archive, several series in a folder, one in several, several label objects of a series, or no
            CT series at all; all that there are, are listed.
    """
    if listing.folder is None:
        _refuse_archive(listing)
        return None
    contents = _read_folders(listing.files, listing.folder)
    if not any(content.series or content.labels or set(content.left_out) - {NO_DICOM} for content in contents):
        return None
    _refuse_several(listing.name, contents)
    placed = {content.folder: content.series[0] for content in contents if content.series}
    _refuse_copies(listing.name, placed)
    if not placed:
        seen = sorted({reason for content in contents for reason in content.left_out})
        raise UsageError(
            f"{listing.name}: must hold a CT series of at least two slices, but holds only: "
            f"{', '.join(seen) or 'labels'}; give the folder above the images"
        )
    labels, without_image = _pair(listing.name, placed, [item for content in contents for item in content.labels])
    return _make(listing, contents, placed, labels, without_image)


def _refuse_archive(listing: Listing) -> None:
    if any(path.lower().endswith(ARCHIVED) for path in listing.files):
        raise UsageError(
            f"{listing.name}: DICOM must be imported from a folder, but this is an archive; unpack it, and import the "
            "folder"
        )


def _read_folders(files: Sequence[str], source: Path) -> list[Content]:
    """Read all headers, several folders at once where there are many."""
    folders: dict[str, list[str]] = defaultdict(list)
    for file in files:
        folders[file.rpartition("/")[0]].append(file)
    processes = count_processes(0, len(folders)) if len(files) > FEW_FILES else 1
    tasks = ((folder, source, inside) for folder, inside in sorted(folders.items()))
    contents = []
    for content in map_cases(read_folder, tasks, processes, "forkserver"):
        if isinstance(content, CaseError):
            raise content
        contents.append(content)
    return contents


def _refuse_several(name: str, contents: Sequence[Content]) -> None:
    lines = []
    for content in contents:
        if len(content.series) > 1:
            lines += [f"  {content.folder or '.'}:", *(f"    {_describe(series)}" for series in content.series)]
    if lines:
        raise UsageError(
            "\n".join(
                [
                    f"{name}: a folder must hold one CT series, but several lie in some, and which is meant is not "
                    "guessed:",
                    *_shorten(lines),
                    "Move the files of the others out of SRC, or each series into a folder of its own.",
                ]
            )
        )


def _describe(series: Series) -> str:
    size = f"series {series.number}: {series.slices} slices"
    if series.grid is None:
        return f"{size}, kernel {series.kernel}; {series.problem}"
    return f"{size}, {' x '.join(f'{mm:.3g}' for mm in series.grid.spacing_mm)} mm, kernel {series.kernel}"


def _refuse_copies(name: str, placed: Mapping[str, Series]) -> None:
    folders: dict[str, list[str]] = defaultdict(list)
    for folder, series in placed.items():
        folders[series.uid].append(folder or ".")
    lines = [f"  {', '.join(several)}" for several in folders.values() if len(several) > 1]
    if lines:
        raise UsageError(
            "\n".join(
                [
                    f"{name}: a series must lie in one folder, but its files lie in several:", *_shorten(lines),
                    "Put all of a series into one folder, or move its copies out of SRC.",
                ]
            )
        )  # fmt: skip


def _pair(
    name: str, placed: Mapping[str, Series], objects: Iterable[LabelObject]
) -> tuple[dict[str, LabelObject], list[LabelObject]]:
    """Folder of a series -> its label object; and the objects of no series.

    Raises:
        UsageError: a series has several.
    """
    by_uid = {series.uid: folder for folder, series in placed.items()}
    by_frame: dict[str, list[str]] = defaultdict(list)
    for folder, series in placed.items():
        by_frame[series.frame].append(folder)
    paired: dict[str, list[LabelObject]] = defaultdict(list)
    without_image = []
    for item in objects:
        folders = {by_uid[uid] for uid in item.series if uid in by_uid}
        if not folders and not item.series and item.frame and len(by_frame.get(item.frame, ())) == 1:
            folders = set(by_frame[item.frame])
        if len(folders) == 1:
            paired[folders.pop()].append(item)
        else:
            without_image.append(item)
    lines = [f"  {folder or '.'}: {', '.join(f'{item.file} ({item.kind})' for item in items)}"
             for folder, items in sorted(paired.items()) if len(items) > 1]  # fmt: skip
    if lines:
        raise UsageError(
            "\n".join(
                [
                    f"{name}: a series must have one SEG or RTSTRUCT, but some have several, and which is meant is not "
                    "guessed:",
                    *_shorten(lines),
                    "Move the others out of SRC.",
                ]
            )
        )
    return {folder: items[0] for folder, items in paired.items()}, without_image


def _make(
    listing: Listing,
    contents: Sequence[Content],
    placed: Mapping[str, Series],
    labels: Mapping[str, LabelObject],
    without_image: Sequence[LabelObject],
) -> Found:
    """The cases, what is left out, and the table of organs."""
    words = frozenset(word for content in contents for word in content.personal)
    names, are_numbers = name_cases(list(placed), listing.name, words)
    cases = tuple(
        sorted(
            (_make_case(names[folder], series, labels.get(folder)) for folder, series in placed.items()
             if not labels or folder in labels),
            key=lambda case: case.name,
        )
    )  # fmt: skip
    left_out = {f"folders with {reason}": out for reason, out in _count_left_out(contents, names, words).items()}
    if labels and (unlabelled := tuple(sorted(names[folder] for folder in placed if folder not in labels))):
        left_out[NO_LABELS] = unlabelled
    if without_image:
        left_out["labels of no CT series here, or of several"] = tuple(item.kind for item in without_image)
    organs = sorted({organ for item in labels.values() for organ in item.organs.values()})
    source_name = listing.name if not is_personal(listing.name, words) else "dicom"
    description = Description(propose_name(source_name), labels=dict(enumerate(organs, 1)))
    notes = tuple(_notes(labels.values(), are_numbers=are_numbers))
    return Found("dicom", description, cases, left_out, notes, source_name)


def _make_case(name: str, series: Series, labels: LabelObject | None) -> SourceCase:
    about = f"{name}: series {series.number}, {series.slices} slices"
    return SourceCase(name, about, f"{name}: {labels.kind}" if labels else None, scan=Scan(series, labels))


def _count_left_out(
    contents: Sequence[Content], names: Mapping[str, str], words: frozenset[str]
) -> dict[str, tuple[str, ...]]:
    """Reason -> folders with files that are left out for it, and how many; no folder is named that may not be."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for number, content in enumerate(contents, 1):
        name = names.get(content.folder) or content.folder
        shown = f"folder {number}" if is_personal(name, words) else name or "."
        for reason, count in content.left_out.items():
            reasons[reason].append(f"{shown} ({count})")
    return {reason: tuple(shown) for reason, shown in sorted(reasons.items())}


def _notes(labels: Iterable[LabelObject], *, are_numbers: bool) -> Iterable[str]:
    labels = list(labels)
    if are_numbers:
        yield (
            "cases are numbered in the order of their folders, since the folders' names hold what headers say of a "
            "person, or are not unique: --dry-run shows which is which"
        )
    if fractional := sum(item.is_fractional for item in labels):
        yield f"{fractional} SEG objects give a share for each voxel: voxels of at least one half are taken"
    if others := sorted({name for item in labels for name in item.without_region}):
        yield f"structures without a closed contour are no organs, and left out: {', '.join(others)}"
    yield from tell_missing((item.organs.values() for item in labels), "segment")


def _shorten(lines: Sequence[str]) -> list[str]:
    more = [f"  … and {len(lines) - MOST_FOLDERS} more lines"] if len(lines) > MOST_FOLDERS else []
    return [*lines[:MOST_FOLDERS], *more]
