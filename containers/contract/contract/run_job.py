"""Run a step that is not a list of cases: the step resumes by itself, and a step that is done is not done again."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contract import records, statefiles
from contract.context import Context
from contract.errors import ExitCode
from contract.fingerprints import job_fingerprint
from contract.progress import log_line
from contract.provenance import describe_run, peak_memory_mb
from contract.steps import Job


def run_job(context: Context, step: Job) -> int:
    """Do the step unless its results are there and would come out the same; return the exit code."""
    fingerprint = job_fingerprint(context)
    earlier = records.read_run(context.folder)
    if (
        earlier.get("fingerprint") == fingerprint
        and not context.arguments.overwrite
        and _outputs_are_intact(context.folder, earlier.get("outputs", {}))
        and not any(status.retry for status in records.read_statuses(context.folder).values())
    ):
        log_line(f"{context.folder.name}: already done")
        return ExitCode.DONE
    started = time.monotonic()
    statefiles.remove(context.folder / records.RUN)  # of what is replaced now; without it, nothing counts as written
    step.work(context)
    context.progress.check_stop()
    context.refuse_replaced_weights()
    outputs = {str(path.relative_to(context.folder)): records.file_sha256(path) for path in _results(context.folder)}
    run: dict[str, Any] = {
        **describe_run(context), "fingerprint": fingerprint, "outputs": outputs,
        "seconds": round(time.monotonic() - started, 3), "peak_memory_mb": peak_memory_mb(),
    }  # fmt: skip
    records.write_run(context.folder, run)
    return ExitCode.DONE


def _outputs_are_intact(folder: Path, outputs: Mapping[str, str]) -> bool:
    return all(
        (folder / file).is_file() and records.file_sha256(folder / file) == sha256 for file, sha256 in outputs.items()
    )


def _results(folder: Path) -> list[Path]:
    """A job's results: every file but hidden ones and the contract library's own, sorted."""
    own = {records.RUN, records.STATUS}
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in own and not p.name.startswith("."))
