"""Public datasets whose cases are told by the names of their files: BTCV, WORD, AMOS, AbdomenCT-1K, FLARE, SegTHOR."""

import json
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from coordinator.datasets.importing.cases import Description, Found, collect, pair_up, split_ending
from coordinator.datasets.importing.descriptions import describe_known
from coordinator.datasets.importing.listing import Listing

AMOS_LAST_CT = 500
"""AMOS's scans with higher numbers are MRI; 0500 itself is on the official list of test CTs."""


@dataclass(frozen=True, slots=True)
class NamedFiles:
    """How a distribution names its files.

    Attributes:
        layout: its name.
        dataset: name of the known dataset.
        image: pattern of the end of an image's path, without the ending of NIfTI; its group `id` is the case's number.
        labels: the same of a label map.
        case: the case's name; {} is the number.
        example: what such a folder looks like, for messages.
        refuse: why a number is left out; None for a case that is taken.
        note: what the user should know.
    """

    layout: str
    dataset: str
    image: str
    labels: str
    case: str
    example: str
    refuse: Callable[[str], str | None] = lambda number: None
    note: str = ""


def _refuse_mri(number: str) -> str | None:
    return f"MRI (number above {AMOS_LAST_CT})" if int(number) > AMOS_LAST_CT else None


DISTRIBUTIONS = (
    NamedFiles(
        "btcv", "btcv", r"img/img(?P<id>\d{4})", r"label/label(?P<id>\d{4})", "{}",
        "Training/img/img0001.nii.gz with Training/label/label0001.nii.gz",
    ),
    NamedFiles(
        "word", "word", r"images(Tr|Val|Ts)/word_(?P<id>\d{4})", r"labels(Tr|Val|Ts)/word_(?P<id>\d{4})", "word_{}",
        "imagesTr/word_0002.nii.gz with labelsTr/word_0002.nii.gz",
    ),
    NamedFiles(
        "amos", "amos22", r"images(Tr|Val?|Ts)/amos_(?P<id>\d{4})", r"labels(Tr|Val?|Ts)/amos_(?P<id>\d{4})", "amos_{}",
        "imagesTr/amos_0001.nii.gz with labelsTr/amos_0001.nii.gz", _refuse_mri,
    ),
    NamedFiles(
        "ct1k", "abdomenct1k", r"Case_(?P<id>\d{5})_0000", r"Case_(?P<id>\d{5})", "Case_{}",
        "AbdomenCT-1K-ImagePart1/Case_00001_0000.nii.gz with Mask/Case_00001.nii.gz",
        note="20 of its files have a made-up spacing of 1 mm: distances in mm are wrong there (see dataset.yaml)",
    ),
    NamedFiles(
        "flare21", "flare21", r"train_(?P<id>\d{3})_0000", r"train_(?P<id>\d{3})", "train_{}",
        "TrainingImg/train_000_0000.nii.gz with TrainingMask/train_000.nii.gz",
    ),
    NamedFiles(
        "flare22", "flare22", r"FLARE22_Tr_(?P<id>\d{4})_0000", r"FLARE22_Tr_(?P<id>\d{4})", "FLARE22_Tr_{}",
        "images/FLARE22_Tr_0001_0000.nii.gz with labels/FLARE22_Tr_0001.nii.gz",
    ),
    NamedFiles(
        "segthor", "segthor", r"(Patient_(?P<id>\d{2})/|test/)Patient_(?P<test>\d{2})", r"Patient_(?P<id>\d{2})/GT",
        "Patient_{}", "train/Patient_01/Patient_01.nii.gz with train/Patient_01/GT.nii.gz",
        note="copies with labels 63, 126, 189, 252 are not the original: their cases are set aside",
    ),
)  # fmt: skip


def find_named(named: NamedFiles, listing: Listing) -> Found | None:
    """The cases of a distribution; None where it is none of that name, or has a label table of its own."""
    images: dict[str, list[str]] = defaultdict(list)
    labels: dict[str, list[str]] = defaultdict(list)
    left_out: dict[str, list[str]] = defaultdict(list)
    for path in listing.files:
        number, is_image = _read_path(named, path)
        if number is None:
            if split_ending(path)[1]:
                left_out["files of other names"].append(path)
        elif reason := named.refuse(number):
            left_out[reason].append(path)
        else:
            (images if is_image else labels)[named.case.format(number)].append(path)
    if not set(images) & set(labels):
        return None
    description = describe_known(named.dataset)
    if _has_other_table(listing, description):
        return None
    cases, out = pair_up(collect("image", images), collect("label map", labels), left_out)
    return Found(named.layout, description, cases, out, (named.note,) if named.note else ())


def _read_path(named: NamedFiles, path: str) -> tuple[str | None, bool]:
    """The number of the case to which a file belongs, or None; and whether it is the image."""
    stem, ending = split_ending(path)
    if not ending:
        return None, False
    for pattern, is_image in ((named.image, True), (named.labels, False)):
        found = re.search(rf"(^|/){pattern}$", stem)
        if found:
            groups = found.groupdict()
            number, other = groups.get("id"), groups.get("test")
            if other is None or number in (None, other):  # SegTHOR names a case twice, by folder and by file
                return number or other, is_image
    return None, False


def _has_other_table(listing: Listing, description: Description) -> bool:
    """Whether a dataset.json beside the files has other ids: then it is a conversion, and its own table counts."""
    for path in (path for path in listing.files if path.rsplit("/", 1)[-1] == "dataset.json"):
        try:
            table = json.loads(listing.read_text(path)).get("labels") or {}
            keys = {str(i) for pair in table.items() for i in pair if str(i).isdigit()}
        except (ValueError, AttributeError, TypeError):
            continue
        if keys - {"0"} and keys - {"0"} != {str(i) for i in description.labels or ()}:
            return True
    return False
