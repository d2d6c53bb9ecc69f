"""What an import writes down: a line for each case while it goes on, and `import.json` at its end.

No times and no paths outside of the source stand in it: the same source gives the same bytes.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from contract import atomic, records, statefiles
from contract.datasets import SUFFIX
from coordinator.datasets.importing.cases import Found, needed_files
from coordinator.datasets.importing.listing import Listing
from coordinator.datasets.importing.masks import RULE
from coordinator.datasets.importing.results import CaseResult
from coordinator.datasets.lines import append_line

RECORD = "import.json"
CASES, BEGUN = "cases.jsonl", "begun.json"
IMPORT_VERSION = 1
"""Raise it when the same source becomes another dataset: an import that was broken off is then begun anew."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a dataset comes from.

    Attributes:
        source: name of the folder or archive.
        fingerprint: of the files that were imported.
        skipped: kind of file that was passed over -> how many.
    """

    source: str
    fingerprint: str
    skipped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a record says of an import.

    Attributes:
        source: name of the folder or archive.
        layout: of the source.
        fingerprint: of the files that were imported.
        names: of the cases that were imported.
        labelled: those of them that have labels.
        set_aside: case -> why it was not.
        overlaps: case -> voxels that lay in more than one mask, where there are any.
    """

    source: str
    layout: str
    fingerprint: str
    names: tuple[str, ...]
    labelled: tuple[str, ...]
    set_aside: Mapping[str, str]
    overlaps: Mapping[str, int]


def take_fingerprint(found: Found, listing: Listing, source: Path) -> str:
    """Digest of what a dataset is made from: names, sizes and times of its files or archive, and its description."""
    files = needed_files(found.cases, listing.files)
    description = asdict(found.description) | {"labels": sorted((found.description.labels or {}).items())}
    cases = [[case.name, case.files, case.group] for case in found.cases]
    stamps = [_stamp(source)] if source.is_file() else [[file, *_stamp(source / file)] for file in files]
    return records.digest([IMPORT_VERSION, found.layout, description, cases, stamps])


def begin(part: Path, fingerprint: str) -> dict[str, CaseResult]:
    """Make the folder ready, and find what an earlier import of the same files has done in it.

    Args:
        part: the hidden folder; what it holds of other files is removed.
        fingerprint: of the files that are imported.

    Returns:
        Case -> how it ended, of those that are done.
    """
    begun = statefiles.read(part / BEGUN, statefiles.parse_mapping) or {}
    if begun.get("fingerprint") != fingerprint:
        for rest in part.iterdir():
            shutil.rmtree(rest) if rest.is_dir() and not rest.is_symlink() else rest.unlink()
        atomic.write_json(part / BEGUN, {"fingerprint": fingerprint})
    for kind in ("images", "labels"):
        (part / kind).mkdir(exist_ok=True)
    lines = statefiles.read(part / CASES, lambda content: content.decode("utf-8", "replace").splitlines()) or []
    results = [result for line in lines if (result := _parse_result(line)) is not None]
    return {result.case: result for result in results if not result.problem and _has_files(part, result)}


def append(part: Path, result: CaseResult) -> None:
    """Note that a case is done."""
    append_line(part / CASES, asdict(result))


def write(folder: Path, found: Found, origin: Origin, results: Sequence[CaseResult]) -> None:
    """Write `import.json`."""
    sound = [result for result in results if not result.problem]
    merges = any(str(result.labels.get("how")).endswith("merged") for result in sound)
    content: dict[str, Any] = {
        "made_by": f"coordinator dataset import {version('label-quality-coordinator')}",
        "import_version": IMPORT_VERSION,
        "source": origin.source,
        "layout": found.layout,
        "fingerprint": origin.fingerprint,
        **{key: getattr(found.description, key) for key in ("licence", "citation")},
        "origin": found.description.source,
        **({"merge_rule": RULE} if merges else {}),
        "notes": list(found.notes),
        "counts": {
            "imported": len(sound),
            "set_aside": len(results) - len(sound),
            "left_out": {reason: len(names) for reason, names in found.left_out.items()},
            "skipped": dict(origin.skipped),
        },
        "set_aside": {result.case: result.problem for result in results if result.problem},
        "left_out": {reason: list(names) for reason, names in found.left_out.items()},
        "cases": {result.case: _describe(result) for result in sound},
    }
    atomic.write_json(folder / RECORD, content)


def read_summary(folder: Path) -> Summary | None:
    """What a dataset folder's record says; None where it has none, or a damaged one."""
    return statefiles.read(folder / RECORD, _parse_summary)


def _parse_summary(content: bytes) -> Summary:
    record = statefiles.parse_mapping(content)
    overlaps = {case: about["voxels_in_several_masks"] for case, about in record["cases"].items()
                if about.get("voxels_in_several_masks")}  # fmt: skip
    return Summary(
        source=str(record["source"]),
        layout=str(record["layout"]),
        fingerprint=str(record["fingerprint"]),
        names=tuple(record["cases"]),
        labelled=tuple(case for case, about in record["cases"].items() if about["labels"]),
        set_aside=dict(record["set_aside"]),
        overlaps=overlaps,
    )


def _describe(result: CaseResult) -> dict[str, object]:
    about: dict[str, object] = {"image": result.image, "labels": result.labels, "organs": list(result.organs)}
    if result.overlap_voxels:
        about |= {"voxels_in_several_masks": result.overlap_voxels, "overlaps": dict(result.overlaps)}
    return about


def _parse_result(line: str) -> CaseResult | None:
    """The result of a line; None for one that a crash has cut short."""
    try:
        content = json.loads(line)
        return CaseResult(**{**content, "organs": tuple(content["organs"])})
    except statefiles.DAMAGE:
        return None


def _has_files(part: Path, result: CaseResult) -> bool:
    kinds = ("images", "labels") if result.labels else ("images",)
    return all((part / kind / f"{result.case}{SUFFIX}").is_file() for kind in kinds)


def _stamp(path: Path) -> list[int]:
    """Size and time of a file: what a second import looks at; the bytes are read by the first one."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]
