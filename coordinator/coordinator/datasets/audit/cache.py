"""What an audit has found out about each case, kept so that one that was broken off goes on, and a second one is quick.

A line for each case, added when it has been read. Of several lines of a case the last one counts
that fits its files.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from contract import records, statefiles
from contract.datasets import Dataset
from contract.errors import UsageError
from contract.stamps import written
from coordinator.datasets.audit.inspection import Inspection
from coordinator.datasets.lines import append_line

AUDIT_VERSION = 2
"""Raise it when a measure changes, so that cases are read again."""

LINE_PARTS = 4
LINE_START = '["'
Stamp = list[Any]
_INSPECTION = TypeAdapter(Inspection)


class Cache:
    """A file that keeps inspections; without a path it keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        """Read what is there; damaged lines count as missing.

        Raises:
            UsageError: the file is something else than a cache, which lines would be added to.
        """
        self._path = path
        lines = statefiles.read(path, _split_lines) if path else None
        self._lines: dict[tuple[str, str], list[list[Any]]] = {}
        for line in filter(None, map(_parse_line, lines or ())):
            self._lines.setdefault((line[0], line[1]), []).append(line[2:])
        if not self._lines and not _may_be_cut(lines or ()):
            raise UsageError(f"{path}: must be a file that `--cache` made, but is something else; choose another name")

    def find(self, dataset: Dataset, stamps: Mapping[str, Stamp]) -> dict[str, Inspection]:
        """Case -> its inspection, of those whose files have not changed since and had no errors.

        A file of which only the time of its last change differs, as when another folder links it, is compared by its
        sha256, and then kept under its new stamp.

        Args:
            dataset: the dataset.
            stamps: case -> its `stamp_case`.
        """
        found = {}
        for case, stamp in stamps.items():
            whole = _whole_stamp(dataset, stamp)
            for kept_stamp, content in reversed(self._lines.get((dataset.name, case), ())):
                if _without_change(kept_stamp) != _without_change(whole):
                    continue
                kept = _parse(content)
                if kept is None or kept.check.errors:
                    break
                if kept_stamp == whole:
                    found[case] = kept
                    break
                if _has_bytes(dataset, case, kept):
                    found[case] = kept
                    self.add(dataset, case, stamp, kept)
                    break
        return found

    def add(self, dataset: Dataset, case: str, stamp: Stamp, inspection: Inspection) -> None:
        """Keep the inspection of a case; the stamp was taken before it was read."""
        if self._path is None:
            return
        parts = [dataset.name, case, _whole_stamp(dataset, stamp), asdict(inspection)]
        append_line(self._path, parts)


def _whole_stamp(dataset: Dataset, stamp: Stamp) -> Stamp:
    """With the version and the names of organs, as JSON gives it back."""
    whole: Stamp = json.loads(json.dumps([AUDIT_VERSION, sorted(dataset.labels.items()), stamp]))
    return whole


def _without_change(whole: Stamp) -> Stamp | None:
    """A whole stamp without the times of the files' last change; None for what is none."""
    try:
        version, organs, (check, ids, image, labels) = whole
        return [version, organs, check, ids, written(image), written(labels)]
    except (TypeError, ValueError, LookupError):
        return None


def _has_bytes(dataset: Dataset, case: str, kept: Inspection) -> bool:
    """Whether the files of a case have the bytes that they had when it was read."""
    try:
        image = records.file_sha256(dataset.image(case))
        labels = records.file_sha256(dataset.label(case)) if dataset.labels else None
    except OSError:
        return False
    return (image, labels) == (kept.check.image_sha256, kept.check.labels_sha256)


def _split_lines(content: bytes) -> list[str]:
    return content.decode("utf-8", "replace").splitlines()


def _may_be_cut(lines: Iterable[str]) -> bool:
    """Whether a file without a whole line is what a crash has left of a cache: nothing, or how a line begins."""
    first = next((line for text in lines if (line := text.strip("\0 \r"))), LINE_START)
    return first[: len(LINE_START)] == LINE_START[: len(first)]


def _parse_line(text: str) -> list[Any] | None:
    """Dataset, case, stamp and content of a line; None for one that a crash has cut short."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    is_line = isinstance(line, list) and len(line) == LINE_PARTS and all(isinstance(name, str) for name in line[:2])
    return line if is_line else None


def _parse(content: Mapping[str, Any] | None) -> Inspection | None:
    try:
        return _INSPECTION.validate_python(content)
    except ValueError:
        return None
