"""What is collected from the folders of a run, and how a folder or file of it is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from contract import statefiles
from contract.records import read_run
from coordinator.results.failednetworks import FailedNetwork
from coordinator.results.files import hide_place, read_failed_cases
from coordinator.results.run import ToolRun
from coordinator.scoring.framefiles import parse_frame


@dataclass(slots=True)
class Records:
    """Everything that is collected from the folders of a run."""

    label_scores: list[pl.DataFrame] = field(default_factory=list)
    label_shells: list[pl.DataFrame] = field(default_factory=list)
    model_scores: list[pl.DataFrame] = field(default_factory=list)
    agreement: list[pl.DataFrame] = field(default_factory=list)
    logs: list[pl.DataFrame] = field(default_factory=list)
    failures: list[tuple[str, ...]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    tools: list[ToolRun] = field(default_factory=list)
    failed_networks: list[FailedNetwork] = field(default_factory=list)
    untrusted: Mapping[str, str] = field(default_factory=dict)


def collect_tool(run: Path, place: str, name: tuple[str, str, str], records: Records) -> set[str]:
    """Collect what a tool recorded of a folder that it wrote: its provenance, and failed cases, which are returned."""
    record = hide_place(run, read_run(run / place))
    if record:
        records.tools.append(ToolRun(*name, record))
    failed = dict(read_failed_cases(run, f"{place}/status.jsonl"))
    records.failures += [(*name, case, reason) for case, reason in failed.items()]
    return set(failed)


def read_frames(run: Path, place: str, what: str, records: Records) -> list[pl.DataFrame]:
    """Read the frame of a file; where there is none that counts, return none and add a line to `missing`."""
    # The scores of predictions lie in the folder of these, and are the output of a step of their own.
    owners = [output for output in records.untrusted if f"{place}/".startswith(f"{output}/")]
    why = records.untrusted[max(owners, key=len)] if owners else ""
    damage: list[str] = []
    if not why and (frame := statefiles.read(run / place, parse_frame, damage.append)) is not None:
        return [frame]
    reason = hide_place(run, damage[0]) if damage else why if (run / place).is_file() else ""
    records.missing.append(f"{what}: {reason}" if reason else what)
    return []


def concat(frames: list[pl.DataFrame], schema: Mapping[str, Any]) -> pl.DataFrame:
    """Put all rows into one frame; its columns are the schema's, then further ones of the frames."""
    return pl.concat([pl.DataFrame(schema=schema), *frames], how="diagonal_relaxed")
