"""Anybody's files: a folder of images and one of labels, or image and labels side by side.

images/<case>.nii.gz  labels/<case>.nii.gz          other usual names of such folders do as well
<case>.nii.gz         <case>_seg.nii.gz             in one folder
"""

import re
from collections import defaultdict

from contract.errors import UsageError
from coordinator.datasets.importing.cases import Description, Found, collect, drop_channel, pair_up, split_ending
from coordinator.datasets.importing.descriptions import propose_name
from coordinator.datasets.importing.jsonfolders import read_json, read_labels
from coordinator.datasets.importing.listing import Listing

IMAGE_FOLDER = re.compile(r"(images?|imgs?|cts?|volumes?|scans?)(tr|va|val|ts)?", re.IGNORECASE)
LABEL_FOLDER = re.compile(r"(labels?|masks?|segs?|segmentations?|gts?|annotations?)(tr|va|val|ts)?", re.IGNORECASE)
LABEL_ENDING = re.compile(r"(?<=.)[_.-](labels?|masks?|segs?|segmentations?|gt)$", re.IGNORECASE)
IMAGE_ENDING = re.compile(r"(?<=.)[_.-](images?|img|ct|scan|volume)$", re.IGNORECASE)


def find_flat(listing: Listing) -> Found | None:
    """The cases of files that are named alike; a table of organs is taken from a labels.json or dataset.json."""
    images: dict[str, list[str]] = defaultdict(list)
    labels: dict[str, list[str]] = defaultdict(list)
    for path in listing.files:
        stem, ending = split_ending(path)
        if ending:
            folder, _, name = stem.rpartition("/")
            is_labels, case = _read_name(folder.rpartition("/")[2], name)
            (labels if is_labels else images)[case].append(path)
    if not set(images) & set(labels):
        return None
    cases, left_out = pair_up(collect("image", images), collect("label map", labels), {})
    table = _find_table(listing)
    notes = () if table else ("nothing says which id is which organ: name them in dataset.yaml before a study",)
    return Found("flat", Description(propose_name(listing.name), labels=table), cases, left_out, notes)


def _read_name(folder: str, name: str) -> tuple[bool, str]:
    """Whether a file holds labels, and its case."""
    if LABEL_FOLDER.fullmatch(folder):
        return True, LABEL_ENDING.sub("", name)
    bare = IMAGE_ENDING.sub("", drop_channel(name))
    if IMAGE_FOLDER.fullmatch(folder) or not LABEL_ENDING.search(name):
        return False, bare
    return True, LABEL_ENDING.sub("", name)


def _find_table(listing: Listing) -> dict[int, str] | None:
    """The label table of the source; None where it has none.

    Raises:
        UsageError: there are several, or it can't be understood.
    """
    files = [path for path in listing.files if path.rsplit("/", 1)[-1] in ("labels.json", "dataset.json")]
    if not files:
        return None
    if len(files) > 1:
        raise UsageError(f"{files[0]} and {files[1]}: there must be one table of organs; move one of the two away")
    content = read_json(listing, files[0])
    return read_labels(files[0], content.get("labels", content))
