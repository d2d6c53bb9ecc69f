"""Folders that a dataset.json describes: nnU-Net's of both versions, and those of the Medical Segmentation Decathlon.

imagesTr/<case>_0000.nii.gz  labelsTr/<case>.nii.gz    nnU-Net
imagesTr/<case>.nii.gz       labelsTr/<case>.nii.gz    MSD
"""

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from contract.errors import UsageError
from coordinator.datasets.importing.cases import Description, Found, collect, drop_channel, pair_up, split_ending
from coordinator.datasets.importing.descriptions import propose_name
from coordinator.datasets.importing.listing import Listing

NOT_CT = re.compile(r"\b(mr|mri|t1|t2|t1c|t1w|t2w|t1gd|flair|adc|dwi|pet|us)\b", re.IGNORECASE)
PARTS = ("Tr", "Va", "Val", "Ts")


@dataclass(slots=True)
class _Files:
    images: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    labels: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    others: list[str] = field(default_factory=list)


def find_nnunet(listing: Listing) -> Found | None:
    """The cases of an nnU-Net dataset: images end in _0000.

    Raises:
        UsageError: several channels, another modality than CT, or a dataset.json that can't be understood.
    """
    return _find(listing, "nnunet")


def find_msd(listing: Listing) -> Found | None:
    """The cases of an MSD dataset: image and labels have one name.

    Raises:
        UsageError: as `find_nnunet`.
    """
    return _find(listing, "msd")


def _find(listing: Listing, layout: str) -> Found | None:
    top = _find_top(listing)
    if top is None:
        return None
    files = _read_files(listing, top)
    has_channels = any(re.search(r"_\d{4}$", name) for name in files.images)
    is_nnunet = has_channels and not set(files.images) & set(files.labels)
    if not files.labels or is_nnunet != (layout == "nnunet"):
        return None
    where = f"{top}dataset.json"
    content = read_json(listing, where)
    notes = _refuse_other_modalities(where, content, files.images if is_nnunet else {})
    images = collect("image", files.images)
    if is_nnunet:
        images = {drop_channel(name): path for name, path in images.items()}
    cases, left_out = pair_up(images, collect("label map", files.labels), {"files of other names": files.others})
    if not cases:
        return None
    return Found(layout, _describe(listing, top, where, content), cases, left_out, notes)


def read_json(listing: Listing, path: str) -> dict[str, Any]:
    """The keys and values of a JSON file.

    Raises:
        UsageError: it holds something else.
    """
    try:
        content = json.loads(listing.read_text(path))
    except ValueError as error:
        raise UsageError(f"{path}: must be JSON, but: {error}; repair it") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: must hold keys and values, but holds a {type(content).__name__}; repair it")
    return content


def read_labels(where: str, table: object) -> dict[int, str]:
    """Label id -> organ, of a table that has either of them first; without the background.

    Raises:
        UsageError: no table, or ids that are no numbers, as nnU-Net's regions are.
    """
    if not isinstance(table, Mapping) or not table:
        raise UsageError(f"{where}: labels must name each id, but they are {table!r:.60}; repair it")
    labels: dict[int, str] = {}
    for key, value in table.items():
        number, organ = (key, value) if str(key).isdecimal() else (value, key)
        if not (isinstance(number, int | str) and str(number).isdecimal() and isinstance(organ, str)):
            raise UsageError(
                f"{where}: each label must be one id and one organ, but {key!r}: {value!r:.60} came; "
                "regions of several ids are no label map: name the ids themselves"
            )
        if int(number) in labels:
            raise UsageError(f"{where}: ids must be unique, but {number} came twice; repair it")
        labels[int(number)] = organ.strip()
    if "ignore" in labels.values():
        raise UsageError(
            f"{where}: every voxel must be labelled, but the label `ignore` marks those that are not; "
            "complete the labels, or map it to an organ of its own by another name"
        )
    if (background := labels.pop(0, "background").lower()) not in ("background", "bg", "bkg", ""):
        raise UsageError(f"{where}: label 0 must be background, but it is {background!r}; give the organ another id")
    if len(set(labels.values())) < len(labels):
        raise UsageError(f"{where}: organs must be unique, but one came twice; merge or rename them")
    return dict(sorted(labels.items()))


def _find_top(listing: Listing) -> str | None:
    """The path before imagesTr, of the one dataset.json beside such a folder."""
    folders = {path.rsplit("imagesTr/", 1)[0] for path in listing.files if re.search(r"(^|/)imagesTr/[^/]+$", path)}
    tops = sorted(top for top in folders if f"{top}dataset.json" in listing.files)
    if len(tops) > 1:
        raise UsageError(
            f"{tops[0]}dataset.json and {tops[1]}dataset.json: a source must be one dataset, but here are "
            f"{len(tops)}; import them one by one"
        )
    return tops[0] if tops else None


def _read_files(listing: Listing, top: str) -> _Files:
    files = _Files()
    for path in listing.files:
        stem, ending = split_ending(path)
        if not ending:
            continue
        found = re.fullmatch(rf"(images|labels)({'|'.join(PARTS)})/([^/]+)", stem.removeprefix(top))
        if found is None or not path.startswith(top):
            files.others.append(path)
        else:
            (files.images if found[1] == "images" else files.labels)[found[3]].append(path)
    return files


def _refuse_other_modalities(where: str, content: Mapping[str, Any], images: Mapping[str, object]) -> tuple[str, ...]:
    """Notes about the channel; refuses what is not one channel of CT."""
    channels = content.get("channel_names") or content.get("modality") or {"0": "CT"}
    names = [str(name) for name in (channels.values() if isinstance(channels, Mapping) else [channels])]
    other = next((name for name in images if re.search(r"_\d{4}$", name) and not name.endswith("_0000")), None)
    if len(names) > 1 or other:
        raise UsageError(
            f"{where}: images must have one channel, CT, but there are {names if len(names) > 1 else other}; "
            "import a copy that has the CT alone"
        )
    if NOT_CT.search(names[0]):
        raise UsageError(f"{where}: images must be CT, but they are {names[0]!r}; only CT datasets can be studied")
    return () if names[0].strip().lower() == "ct" else (f"its channel is called {names[0]!r} and taken for CT in HU",)


def _describe(listing: Listing, top: str, where: str, content: Mapping[str, Any]) -> Description:
    folder = top.rstrip("/").rsplit("/", 1)[-1] or listing.name
    texts = {key: " ".join(str(content.get(key) or "").split()) for key in ("licence", "license", "reference")}
    return Description(
        name=propose_name(folder if re.match(r"(?i)(dataset|task)\d", folder) else str(content.get("name") or folder)),
        labels=read_labels(where, content.get("labels")),
        licence=texts["licence"] or texts["license"],
        source=texts["reference"],
    )
