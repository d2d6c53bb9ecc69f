"""What a tool writes beside its results, so that it can be resumed, followed and checked.

`status.jsonl`  while a tool runs: one line a case as it ends, appended; afterwards: one line a case, in order of
                their names, the same bytes for the same results
`run.json`      provenance: versions, options, weights, device, and per case the digests, seconds and peak memory

Only `run.json` holds times; everything else is the same for a run that was killed ten times and one that was not.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

from contract import atomic, statefiles
from contract.errors import CaseError
from contract.oserrors import is_machines_fault

STATUS = "status.jsonl"
RUN = "run.json"


@dataclass(frozen=True, slots=True)
class CaseStatus:
    """How a case ended.

    Attributes:
        case: its name.
        state: done, or failed with a reason.
        fingerprint: of everything that the result depends on; hex.
        output_sha256: of the written file; None when failed.
        reason: why it failed; None when done.
        notes: what was odd about its input.
        retry: whether the machine was the reason, so that the next run of a study tries the case again.
    """

    case: str
    state: Literal["done", "failed"]
    fingerprint: str
    output_sha256: str | None
    reason: str | None = None
    notes: tuple[str, ...] = ()
    retry: bool = False

    @classmethod
    def failed(cls, case: str, error: Exception, fingerprint: str = "", notes: tuple[str, ...] = ()) -> Self:
        """The status of a case that ended in an error; whatever is no `CaseError` is named by its type."""
        reason = str(error) if isinstance(error, CaseError) else f"{type(error).__name__}: {error}"
        return cls(case, "failed", fingerprint, None, reason, notes, is_machines_fault(error))


def read_statuses(folder: Path) -> dict[str, CaseStatus]:
    """Last status of each case of a folder; a line cut short by a crash counts as not written."""
    statuses = {}
    for line in statefiles.read(folder / STATUS, _parse_lines) or ():
        try:
            status = _parse_status(line)
        except statefiles.DAMAGE:
            continue
        statuses[status.case] = status
    return statuses


def append_status(folder: Path, status: CaseStatus) -> None:
    """Add a line; synced, so that it is there before the next case begins."""
    file = folder / STATUS
    cut_short = file.is_file() and file.read_bytes()[-1:] not in (b"\n", b"")
    if not file.is_file():
        statefiles.remove(file)
    with atomic.naming(file), file.open("a", encoding="utf-8") as stream:
        stream.write(("\n" if cut_short else "") + json.dumps(asdict(status), ensure_ascii=False) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def write_statuses(folder: Path, statuses: Mapping[str, CaseStatus]) -> None:
    """Replace the file by one line a case, in order of names."""
    lines = [json.dumps(asdict(statuses[case]), ensure_ascii=False) for case in sorted(statuses)]
    atomic.write_text(folder / STATUS, "".join(f"{line}\n" for line in lines))


def read_run(folder: Path) -> dict[str, Any]:
    """Provenance of a folder; empty when there is none yet."""
    return statefiles.read(folder / RUN, parse_run) or {}


def parse_run(content: bytes) -> dict[str, Any]:
    """Parse a `run.json`; its parts have the types that this library writes."""
    record = statefiles.parse_mapping(content)
    for key, kind in {"outputs": dict, "cases": dict, "options": dict, "packages": dict, "weights": list}.items():
        if not isinstance(record.get(key) or kind(), kind):
            raise TypeError(f"its {key!r} is a {type(record[key]).__name__}")
    if not all(isinstance(case, dict) for case in (record.get("cases") or {}).values()):
        raise TypeError("its 'cases' are no mappings")
    return record


def write_run(folder: Path, content: Mapping[str, object]) -> None:
    """Replace the provenance of a folder."""
    atomic.write_json(folder / RUN, content)


def outputs_digest(folder: Path) -> str:
    """Digest of what a folder's `run.json` says was written, or of its files where a person made it, without one."""
    if not (folder / RUN).is_file():
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return digest({str(path.relative_to(folder)): file_sha256(path) for path in files})
    return digest(read_run(folder).get("outputs", {}))


def digest(content: object) -> str:
    """sha256 of plain data, hex: of its JSON with sorted keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """sha256 of a file, hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _parse_lines(content: bytes) -> list[str]:
    return content.decode("utf-8", errors="replace").splitlines()


def _parse_status(line: str) -> CaseStatus:
    record = json.loads(line)
    if not isinstance(record["case"], str) or record["state"] not in ("done", "failed"):
        raise ValueError(f"{line[:80]!r} is no status")
    return CaseStatus(**{**record, "notes": tuple(record["notes"])})
