"""Run a step that is a list of cases: what is done is skipped, and a case that fails does not stop the others.

image, labels  --read, checked-->  Case  --segment-->  labels  --checked, written-->  <case>.nii.gz, status.jsonl
"""

import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract import records
from contract.context import Context
from contract.datasets import SUFFIX
from contract.errors import CaseError, ContractError, ExitCode
from contract.fingerprints import case_fingerprint, common_parts, input_digest
from contract.oserrors import FULL
from contract.progress import log_line
from contract.provenance import describe_run, peak_memory_mb
from contract.records import CaseStatus
from contract.stamps import Stamp, take_stamp, written
from contract.steps import Case, Cases
from contract.volumes import read_image, read_labels, write_labels


@dataclass(frozen=True, slots=True)
class _CaseRecord:
    """What `run.json` holds of a case; without time and memory where a run did it that was stopped before its end."""

    input_sha256: str
    output_sha256: str | None
    seconds: float | None = None
    peak_memory_mb: int | None = None


def run_cases(context: Context, step: Cases[Any]) -> int:
    """Do the cases that are not done, one after the other; return the exit code."""
    statuses = records.read_statuses(context.folder)
    earlier = records.read_run(context.folder)
    recorded = earlier.get("cases", {})
    cases: dict[str, Mapping[str, Any]] = dict(recorded)
    parts = common_parts(context)
    model: Any = None
    contract_broken = loaded = False
    started = time.monotonic()
    context.progress.begin(len(context.cases), context.manifest.name)
    for name in context.cases:
        case_started = time.monotonic()
        stamps = _stamp_inputs(context, name)
        image_sha256 = input_digest(context.dataset.image(name))
        fingerprint = case_fingerprint(context, parts, name, image_sha256)
        if _is_done(context, statuses.get(name), fingerprint):
            record = _CaseRecord(image_sha256, statuses[name].output_sha256)
            if not _is_recorded(cases.get(name), record):
                cases[name] = asdict(record)
            context.progress.advance(name, "already done")
            continue
        _output(context, name).unlink(missing_ok=True)  # a case that fails now leaves no result of an earlier input
        if not loaded:
            model, loaded = _load(context, step, statuses, recorded), True
        status, contract_kept = _do_case(context, step, model, name, fingerprint)
        context.refuse_replaced_weights()
        if status.state == "done" and _stamp_inputs(context, name) != stamps:
            status = _refuse_replaced_inputs(context, name, fingerprint)
        contract_broken = contract_broken or not contract_kept
        records.append_status(context.folder, status)
        statuses[name] = status
        seconds = time.monotonic() - case_started
        cases[name] = asdict(_CaseRecord(image_sha256, status.output_sha256, seconds, peak_memory_mb()))
        context.progress.advance(name, status.reason or "done", failed=status.state == "failed")
    failed = [name for name in context.cases if statuses[name].state == "failed"]
    if cases != recorded or not (context.folder / records.RUN).exists():
        records.write_statuses(context.folder, statuses)
        if not loaded and not earlier:
            _load(context, step, statuses, recorded)  # somebody has removed the record of what made the results
        _write_run(context, {} if loaded else earlier, statuses, cases, time.monotonic() - started)
    context.progress.end(f"{len(context.cases) - len(failed)} of {len(context.cases)} cases done, {len(failed)} failed")
    return ExitCode.CONTRACT_BROKEN if contract_broken else ExitCode.CASES_FAILED if failed else ExitCode.DONE


def _load(
    context: Context, step: Cases[Any], statuses: Mapping[str, CaseStatus], cases: Mapping[str, Mapping[str, Any]]
) -> Any:  # noqa: ANN401 - the tool's model
    """Load the model and record it at once: if this run is killed, the next may find no case to do, and loads none.

    A case whose result is gone is not recorded, so that a run that finds it again writes the record again.
    """
    started = time.monotonic()
    model = step.load(context)
    present = {name: record for name, record in cases.items() if _output(context, name).is_file()}
    _write_run(context, {}, statuses, present, time.monotonic() - started)
    return model


def _is_done(context: Context, status: CaseStatus | None, fingerprint: str) -> bool:
    """Whether the case's file is there, is the one that was written, and would come out the same."""
    if context.arguments.overwrite or status is None or status.state != "done" or status.fingerprint != fingerprint:
        return False
    output = _output(context, status.case)
    return output.is_file() and records.file_sha256(output) == status.output_sha256


def _stamp_inputs(context: Context, name: str) -> list[Stamp | None]:
    """The stamps of what is read of a case."""
    files = [context.dataset.image(name)] + [context.dataset.label(name)] * ("labels" in context.reads)
    return [written(take_stamp(file)) for file in files]


def _refuse_replaced_inputs(context: Context, name: str, fingerprint: str) -> CaseStatus:
    """The status of a case whose result may be of other files than those that its fingerprint names."""
    _output(context, name).unlink(missing_ok=True)
    problem = "image and labels must stay as they are while they are read, but were replaced; run this again"
    return CaseStatus.failed(name, CaseError(f"{name}: {problem}"), fingerprint)


def _is_recorded(recorded: Mapping[str, Any] | None, record: _CaseRecord) -> bool:
    """Whether `run.json` has a case as it was done: a run that was stopped leaves that of an earlier input there."""
    digests = (record.input_sha256, record.output_sha256)
    return recorded is not None and (recorded.get("input_sha256"), recorded.get("output_sha256")) == digests


def _do_case(
    context: Context,
    step: Cases[Any],
    model: Any,  # noqa: ANN401 - the tool's model
    name: str,
    fingerprint: str,
) -> tuple[CaseStatus, bool]:
    """Do one case; whatever goes wrong is its own failure. The second value is False if the contract was broken."""
    notes: tuple[str, ...] = ()
    try:
        case = _read_case(context, name)
        notes = case.image.notes
        for note in notes:
            log_line(f"{name}: {note}")
        labels = np.asarray(step.segment(model, case))
        _check_ids(context, name, labels)
        sha256 = write_labels(_output(context, name), labels, case.image)
    except CaseError as error:
        return CaseStatus.failed(name, error, fingerprint, notes), True
    except ContractError as error:
        return CaseStatus(name, "failed", fingerprint, None, f"refused to write: {error}", notes), False
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:  # no other case could be written either
            raise
        context.progress.check_stop()  # a library may have made an error of an interruption
        traceback.print_exc()
        return CaseStatus.failed(name, error, fingerprint, notes), True
    return CaseStatus(name, "done", fingerprint, sha256, None, notes), True


def _read_case(context: Context, name: str) -> Case:
    dataset = context.dataset
    if twin := context.twins.get(name):
        raise CaseError(f"{dataset.image(name)}: {twin}")
    image = read_image(dataset.image(name))
    labels = None
    if "labels" in context.reads:
        labels = read_labels(dataset.label(name), image, dataset.labels)
    return Case(name, image, labels, dataset.labels)


def _check_ids(context: Context, name: str, labels: NDArray[np.generic]) -> None:
    """Refuse ids that the tool's label table does not have."""
    table = context.manifest.variant(context.arguments.variant).labels
    known = {0, *(context.dataset.labels if table == "from-dataset" else table)}
    unknown = sorted(set(np.unique(labels).tolist()) - known)
    if unknown:
        raise ContractError(f"{name}: labels must have ids of the manifest's table, but have {unknown}")


def _output(context: Context, case: str) -> Path:
    return context.folder / f"{case}{SUFFIX}"


def _write_run(
    context: Context,
    earlier: Mapping[str, Any],
    statuses: Mapping[str, CaseStatus],
    cases: Mapping[str, Mapping[str, Any]],
    seconds: float,
) -> None:
    """Write `run.json`; `earlier` is that of the run that made all results, empty where this one has made some."""
    outputs = {
        f"{name}{SUFFIX}": status.output_sha256
        for name, status in sorted(statuses.items())
        if status.output_sha256 and _output(context, name).is_file()
    }
    run = {
        **(earlier or describe_run(context)),
        "outputs": outputs,
        "cases": dict(sorted(cases.items())),
        "seconds": round(seconds, 3),
    }
    records.write_run(context.folder, run)
