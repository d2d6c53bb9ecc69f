"""A folder for each case, with a mask for each organ: AbdomenAtlas, TotalSegmentator, and others that are laid out so.

BDMAP_00000001/{ct,combined_labels}.nii.gz, segmentations/<organ>.nii.gz
s0000/ct.nii.gz, segmentations/<organ>.nii.gz
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from coordinator.datasets.importing.cases import (
    NO_LABELS,
    Description,
    Found,
    SourceCase,
    collect,
    split_ending,
    tell_missing,
)
from coordinator.datasets.importing.descriptions import describe_known, propose_name
from coordinator.datasets.importing.listing import Listing

ATLAS_NAMES = {"gall_bladder": "gallbladder", "postcava": "inferior_vena_cava", "bladder": "urinary_bladder"}
"""AbdomenAtlas's names of organs -> ours."""
ATLAS_CASE = r"BDMAP_\d{8}"


@dataclass(slots=True)
class _Folders:
    """Files of the folders of cases, by case."""

    images: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    combined: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    masks: dict[str, dict[str, list[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    others: list[str] = field(default_factory=list)


def find_abdomenatlas(listing: Listing) -> Found | None:
    """The cases of AbdomenAtlas Mini, 1.0 or 1.1: their combined labels, or else their masks merged."""
    folders = _read_folders(listing, ATLAS_CASE, ATLAS_NAMES)
    organs = {organ for masks in folders.masks.values() for organ in masks}
    old, new = describe_known("abdomenatlas10"), describe_known("abdomenatlas11")
    if organs - set((new.labels or {}).values()):
        return None
    is_new = bool(organs - set((old.labels or {}).values()))
    notes = () if organs else ("no masks came with it, so that its label ids are taken for those of AbdomenAtlas 1.0",)
    return _make(listing, "abdomenatlas", folders, new if is_new else old, notes)


def find_totalsegmentator(listing: Listing) -> Found | None:
    """The cases of TotalSegmentator's dataset, or of one that is laid out as it is: their masks merged.

    Masks of TotalSegmentator's names get the ids of its models; only cases that are called as its own are its dataset.
    """
    folders = _read_folders(listing, r"(?!BDMAP_)[^/]+", {})
    folders.combined.clear()
    organs = sorted({organ for masks in folders.masks.values() for organ in masks})
    if not organs:
        return None
    for name in ("totalsegmentator", "totalsegmentator1"):
        known = describe_known(name)
        ids = {label: organ for label, organ in (known.labels or {}).items() if organ in organs}
        if len(ids) == len(organs):
            is_official = all(re.fullmatch(r"s\d{4}", case) for case in folders.masks)
            own = Description(propose_name(listing.name), labels=ids)
            return _make(listing, "totalsegmentator", folders, known if is_official else own, ())
    own = Description(propose_name(listing.name), labels=dict(enumerate(organs, 1)))
    notes = ("its masks have other names than TotalSegmentator's: label ids were given in alphabetical order",)
    return _make(listing, "totalsegmentator", folders, own, notes)


def _read_folders(listing: Listing, case: str, names: Mapping[str, str]) -> _Folders:
    folders = _Folders()
    for path in listing.files:
        stem, ending = split_ending(path)
        found = re.search(rf"(?:^|/)({case})/(ct|combined_labels|segmentations/([^/]+))$", stem) if ending else None
        if found is None:
            if ending:
                folders.others.append(path)
        elif found[3]:
            folders.masks[found[1]][names.get(found[3], found[3])].append(path)
        else:
            (folders.images if found[2] == "ct" else folders.combined)[found[1]].append(path)
    return folders


def _make(
    listing: Listing, layout: str, folders: _Folders, description: Description, notes: tuple[str, ...]
) -> Found | None:
    """The cases that have an image, and labels or masks."""
    images, combined = collect("image", folders.images), collect("label map", folders.combined)
    cases, left_out = [], defaultdict(list)
    for name, image in sorted(images.items()):
        masks = collect("mask of an organ", folders.masks.get(name, {}))
        if name in combined:
            cases.append(SourceCase(name, image, combined[name]))
        elif masks:
            cases.append(SourceCase(name, image, None, dict(sorted(masks.items()))))
        else:
            left_out[NO_LABELS].append(name)
    left_out["labels without an image"] += sorted({*combined, *folders.masks} - set(images))
    left_out["files of other names"] += folders.others
    if not cases:
        return None
    reasons = {reason: tuple(names) for reason, names in left_out.items() if names}
    return Found(
        layout,
        description,
        tuple(cases),
        reasons,
        (*notes, *tell_missing((case.masks for case in cases if case.masks), "mask")),
    )
