"""BIDS: images of subjects, and label maps (`dseg`) among the derivatives, with a table of organs beside them.

sub-01/ct/sub-01_ct.nii.gz
derivatives/<pipeline>/sub-01/ct/sub-01_desc-organs_dseg.nii.gz
derivatives/<pipeline>/dseg.tsv                        columns index and name; or a .json with `labels`
"""

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace

from contract.errors import UsageError
from coordinator.datasets.importing.cases import Description, Found, SourceCase, collect, pair_up, split_ending
from coordinator.datasets.importing.descriptions import propose_name
from coordinator.datasets.importing.jsonfolders import read_json, read_labels
from coordinator.datasets.importing.listing import Listing

STEM = re.compile(r"(?:^|/)(sub-[A-Za-z0-9]+(?:_[a-z]+-[A-Za-z0-9+]+)*)_(ct|dseg)$", re.IGNORECASE)
OF_DERIVATIVES = re.compile(r"_(space|desc|atlas|seg|res|den)-[A-Za-z0-9+]+")
"""Parts of a name that a label map has, and the image that it was made from need not have."""


def find_bids(listing: Listing) -> Found | None:
    """The cases of a BIDS dataset; sessions of a subject become a group.

    Raises:
        UsageError: an image has several label maps, or tables of organs disagree.
    """
    images: dict[str, list[str]] = defaultdict(list)
    labels: dict[str, list[str]] = defaultdict(list)
    for path in listing.files:
        stem, ending = split_ending(path)
        if not ending or (found := STEM.search(stem)) is None:
            continue
        if found[2].lower() == "dseg":
            labels[OF_DERIVATIVES.sub("", found[1])].append(path)
        elif "derivatives" not in path.split("/"):
            images[OF_DERIVATIVES.sub("", found[1])].append(path)
    if not set(images) & set(labels):
        return None
    cases, left_out = pair_up(collect("image", images), collect("label map", labels), {})
    table = _find_table(listing)
    notes = () if table else ("no dseg.tsv says which id is which organ: name them in dataset.yaml before a study",)
    return Found("bids", _describe(listing, table), _group(cases), left_out, notes)


def _group(cases: tuple[SourceCase, ...]) -> tuple[SourceCase, ...]:
    """The cases, with their subject where one has several."""
    subjects = [case.name.split("_")[0] for case in cases]
    counts = Counter(subjects)
    pairs = zip(cases, subjects, strict=True)
    return tuple(replace(case, group=subject) if counts[subject] > 1 else case for case, subject in pairs)


def _find_table(listing: Listing) -> Mapping[int, str] | None:
    """The one table of organs; None where there is none."""
    tables: dict[str, dict[int, str]] = {}
    for path in listing.files:
        if path.endswith("dseg.tsv"):
            tables[path] = _read_tsv(path, listing.read_text(path))
        elif path.endswith(("dseg.json", "/labels.json")):
            content = read_json(listing, path)
            if table := content.get("labels") or content.get("LabelMap"):
                tables[path] = read_labels(path, table)
    first = next(iter(tables), None)
    if first is None:
        return None
    for path, table in tables.items():
        if table != tables[first]:
            raise UsageError(
                f"{first} and {path}: all label maps must have one table of organs, but these differ; "
                "import the folders of one pipeline alone"
            )
    return tables[first]


def _read_tsv(path: str, text: str) -> dict[int, str]:
    rows = list(csv.DictReader(io.StringIO(text), delimiter="\t"))
    if not rows or not {"index", "name"} <= set(rows[0]):
        came = ", ".join(rows[0]) if rows else "nothing"
        raise UsageError(f"{path}: table must have the columns index and name, but has {came}; see BIDS's dseg.tsv")
    indices = [str(row["index"]) for row in rows]
    if repeated := sorted({index for index in indices if indices.count(index) > 1}):
        raise UsageError(f"{path}: ids must be unique, but {', '.join(repeated)} came twice; repair it")
    return read_labels(path, {index: str(row["name"]) for index, row in zip(indices, rows, strict=True)})


def _describe(listing: Listing, table: Mapping[int, str] | None) -> Description:
    about = next((path for path in listing.files if path.rsplit("/", 1)[-1] == "dataset_description.json"
                  and "derivatives" not in path.split("/")), None)  # fmt: skip
    content = read_json(listing, about) if about else {}
    name, licence, cite = (str(content.get(key) or "") for key in ("Name", "License", "HowToAcknowledge"))
    return Description(propose_name(name or listing.name), labels=table, licence=licence, citation=cite)
