"""Which layout a source has: a public one first, then one that a table describes, then files that are named alike."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from contract.errors import UsageError
from coordinator.datasets.importing.bids import find_bids
from coordinator.datasets.importing.cases import Found, refuse_twins, split_ending
from coordinator.datasets.importing.flat import find_flat
from coordinator.datasets.importing.jsonfolders import find_msd, find_nnunet
from coordinator.datasets.importing.listing import Listing
from coordinator.datasets.importing.organfolders import find_abdomenatlas, find_totalsegmentator
from coordinator.datasets.importing.public import DISTRIBUTIONS, find_named

DICOM = "dicom"
"""The layout that reads headers: it is tried last, and only where no NIfTI lies, or where it is asked for."""
MOST_FOLDERS = 12
"""That a message lists."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A way in which datasets are laid out.

    Attributes:
        name: as on the command line.
        rank: layouts of a lower rank are tried first; two of one rank that both fit are the user's choice.
        example: files of a case, for messages.
        find: the cases of a source; None where it is laid out otherwise.
    """

    name: str
    rank: int
    example: str
    find: Callable[[Listing], Found | None]


def _find_dicom(listing: Listing) -> Found | None:
    from coordinator.datasets.importing.dicom.layout import find_dicom  # pydicom, which others don't need

    return find_dicom(listing)


LAYOUTS = (
    *(Layout(named.layout, 0, named.example, partial(find_named, named)) for named in DISTRIBUTIONS),
    Layout(
        "abdomenatlas", 0, "BDMAP_00000001/ct.nii.gz with combined_labels.nii.gz or segmentations/", find_abdomenatlas
    ),
    Layout("totalsegmentator", 0, "s0000/ct.nii.gz with s0000/segmentations/<organ>.nii.gz", find_totalsegmentator),
    Layout("nnunet", 1, "dataset.json, imagesTr/<case>_0000.nii.gz with labelsTr/<case>.nii.gz", find_nnunet),
    Layout("msd", 1, "dataset.json, imagesTr/<case>.nii.gz with labelsTr/<case>.nii.gz", find_msd),
    Layout("bids", 1, "sub-01/ct/sub-01_ct.nii.gz with derivatives/<pipeline>/…/sub-01_dseg.nii.gz", find_bids),
    Layout("flat", 2, "images/<case>.nii.gz with labels/<case>.nii.gz, or <case>_seg.nii.gz beside", find_flat),
    Layout(DICOM, 3, "a folder of CT slices for each case, with a SEG or RTSTRUCT that refers to them", _find_dicom),
)
LAYOUT_NAMES = tuple(layout.name for layout in LAYOUTS)


def recognise(listing: Listing, layout: str | None = None) -> Found:
    """Find out how a source is laid out, and its cases.

    Args:
        listing: of the source.
        layout: the only one to try; all when None.

    Raises:
        UsageError: none fits (with what was seen and what was tried), several fit, or names of cases clash.
    """
    tried = [candidate for candidate in LAYOUTS if layout in (None, candidate.name)]
    if layout is None and any(split_ending(path)[1] for path in listing.files):
        tried = [candidate for candidate in tried if candidate.name != DICOM]
    for rank in sorted({candidate.rank for candidate in tried}):
        fitting = [found for c in tried if c.rank == rank and (found := c.find(listing)) is not None]
        if len(fitting) > 1:
            counts = ", ".join(f"{found.layout} ({len(found.cases)} cases)" for found in fitting)
            raise UsageError(f"{listing.name}: files of several datasets: {counts}; choose one with --layout")
        if fitting:
            refuse_twins(fitting[0].cases)
            return fitting[0]
    raise UsageError(_describe_unknown(listing, tried))


def _describe_unknown(listing: Listing, tried: Sequence[Layout]) -> str:
    counts = Counter(path.rpartition("/")[0] or "." for path in listing.files)
    examples = {path.rpartition("/")[0] or ".": path.rpartition("/")[2] for path in reversed(listing.files)}
    seen = [f"  {folder}: {n} files, such as {examples[folder]}" for folder, n in sorted(counts.items())]
    more = [f"  … and {len(seen) - MOST_FOLDERS} more folders"] if len(seen) > MOST_FOLDERS else []
    skipped = [f"  skipped: {n} {kind}" for kind, n in listing.skipped.items()]
    layouts = [f"  {layout.name}: {layout.example}" for layout in tried]
    return "\n".join(
        [
            f"{listing.name}: must hold images with labels in a known layout, but no case of any was found. Seen:",
            *(seen[:MOST_FOLDERS] or ["  no file"]), *more, *skipped,
            f"Tried {len(tried)}:", *layouts,
            "Give the folder above the images and labels, or lay them out as one of these. DICOM files are looked for",
            "in folders, not in archives, and beside NIfTI files only by --layout dicom.",
        ]
    )  # fmt: skip
