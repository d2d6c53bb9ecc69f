"""What each step wrote, so that no result is trusted that is no longer the one that was made.

    .steps/<id>.json          the marker: this step is done, with this fingerprint
    .steps/<id>/.check.json   the record: sha256 and stamp of each file, and the digest of each result that it read

Stamps are compared by every run: thousands of files take a moment. A file with another stamp is read, so touching or
copying a run folder costs one reading and redoes nothing. Before a step reads a result, and for `--verify`, all bytes
are read.
Where a result is done again, what depends on it is only done again if the bytes differ.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from contract import atomic, statefiles
from contract.stamps import Stamp, take_stamp
from coordinator.study import steps
from coordinator.study.steps import Step

CHECK = ".check.json"
"""The name of all files that hold stamps, which differ from machine to machine."""
RUN, STATUS = "run.json", "status.jsonl"
"""What the contract library writes beside results; `run.json` has times in it."""

Mark = list[Any]
"""sha256 and stamp of a file; the stamp is None where the file was seen to differ."""
Changes = dict[str, str]
"""Path relative to the run folder -> how the file differs from its record."""


class ChangedError(Exception):
    """What a step reads is not what was planned; it is done again after another look at all files."""


class StepFailedError(Exception):
    """A step has no output; the message says why, and where the log is."""


class Record(NamedTuple):
    """What is known of a step that was done.

    Attributes:
        marker: what the step's marker holds, with its fingerprint.
        inputs: needed step -> digest of its results, as they were read.
        files: path relative to the run folder -> its mark.
    """

    marker: Mapping[str, Any]
    inputs: Mapping[str, str]
    files: Mapping[str, Mark]

    @property
    def results(self) -> str:
        """Digest of the results: of all files but those with times in them."""
        from contract.records import digest

        return digest({file: mark[0] for file, mark in self.files.items() if Path(file).name != RUN})


def never(file: str) -> bool:
    """Read only files whose stamp differs."""
    return False


def always(file: str) -> bool:
    """Read every file."""
    return True


def read_by_report(file: str) -> bool:
    """Read label maps, scores and records again, but no image stores and networks."""
    return file.endswith((".nii.gz", ".parquet", ".json", ".jsonl"))


def record_file(run: Path, step_id: str) -> Path:
    """The file with the record of a step."""
    return run / steps.MARKERS / step_id / CHECK


def read_record(run: Path, step_id: str) -> Record | None:
    """The record of a step; None where there is none that can be read: it is made again from the files."""
    return statefiles.read(record_file(run, step_id), _parse_record, say=lambda line: None)


def _parse_record(content: bytes) -> Record:
    record = Record(**statefiles.parse_mapping(content))
    sound = isinstance(record.marker, dict) and isinstance(record.inputs, dict)
    if not sound or not all(is_mark(mark) and mark[0] for mark in record.files.values()):
        raise ValueError("it holds values of other types")
    return record


def is_mark(mark: object) -> bool:
    """Whether something that was read is the mark of a file; of one that could not be read, both parts are None."""
    if not isinstance(mark, list) or len(mark) != 2 or not isinstance(mark[0], str | None):
        return False
    stamp = mark[1]
    return stamp is None or (isinstance(stamp, list) and [type(part) for part in stamp] == [int] * 4)


def write_record(run: Path, step: Step, marker: Mapping[str, Any]) -> Record:
    """Record what a step has just written, and what it read."""
    needed = {need: read_record(run, need) for need in step.needs}
    inputs = {need: record.results for need, record in needed.items() if record is not None}
    record = Record(marker, inputs, mark_files(run, list_files(run, step)))
    return save_record(run, step.id, record)


def save_record(run: Path, step_id: str, record: Record) -> Record:
    """Write a record, in one step."""
    file = record_file(run, step_id)
    file.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(file, json.dumps(record._asdict(), separators=(",", ":")) + "\n")
    return record


def mark_files(run: Path, files: Mapping[str, str | None]) -> dict[str, Mark]:
    """Mark files: path relative to the run folder -> sha256 where it is on record already, else the file is read."""
    from contract.records import file_sha256

    marks: dict[str, Mark] = {}
    for file, sha256 in sorted(files.items()):
        stamp = take_stamp(run / file)  # before reading: a file that changes meanwhile has another one afterwards
        marks[file] = [sha256 or file_sha256(run / file), stamp]
    return marks


def find_changes(
    run: Path, step_id: str, record: Record, read: Callable[[str], bool] = never, *, save: bool = True
) -> tuple[Record, Changes]:
    """Compare a step's files with its record.

    Args:
        run: the run folder.
        step_id: of the step, or `report`.
        record: of the step.
        read: which files are read although their stamps are the same.
        save: write the record where its stamps are new.

    Returns:
        The record, with new stamps where the bytes are as recorded, and no stamp where they are not: so later checks
        see at once what only reading showed. It is saved where it differs. And what differs.
    """
    changes: Changes = {}
    marks = dict(record.files)
    for file, (sha256, stamp) in record.files.items():
        present = take_stamp(run / file)
        if present is not None and present == stamp and not read(file):
            continue
        problem = _describe_change(run / file, sha256, stamp, present)
        marks[file] = [sha256, None if problem else present]
        if problem:
            changes[file] = problem
    if marks != record.files:
        record = record._replace(files=marks)
        if save:
            save_record(run, step_id, record)
    return record, changes


def _describe_change(path: Path, sha256: str, stamp: Stamp | None, present: Stamp | None) -> str:
    """How a file differs from its record; empty where it does not."""
    from contract.records import file_sha256

    if present is None:
        return "is missing"
    if stamp is not None and present[0] != stamp[0]:
        return f"has {present[0]:,} bytes, not {stamp[0]:,}"
    try:
        return "" if file_sha256(path) == sha256 else "has other bytes than those that were written"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def find_current(run: Path, step: Step) -> Record | None:
    """The record of a step whose output is what this plan asks for, is whole, and was made from what its needs hold."""
    record = read_record(run, step.id)
    if record is None or record.marker.get("fingerprint") != step.fingerprint:
        return None
    needed = {need: read_record(run, need) for need in step.needs}
    if changed_inputs(record, {need: found for need, found in needed.items() if found is not None}):
        return None
    record, changes = find_changes(run, step.id, record)
    return None if changes or missing_outputs(run, step, record) else record


def forget(run: Path, step: Step) -> None:
    """Let a step be done again whose output is as it was written; a shared one is removed, or it would be linked."""
    statefiles.remove(record_file(run, step.id))
    if (run / step.output).is_symlink():
        remove_output(run / step.output)


def write_marker(run: Path, step: Step, record: Record) -> None:
    """Say that a step is done."""
    atomic.write_text(steps.marker_file(run, step.id), json.dumps(record.marker) + "\n")


def remove_damaged(run: Path, step: Step) -> None:
    """Remove an output that a tool can't mend: it goes on only from label maps, whose digests it checks itself."""
    record = read_record(run, step.id)
    if record is None:
        return
    _, changes = find_changes(run, step.id, record)
    output = run / step.output
    if changes and (not is_case_list(output) or any(Path(file).name in {RUN, STATUS} for file in changes)):
        remove_output(output)


def remove_output(output: Path) -> None:
    """Remove an output, and where it is shared between studies, what its link names."""
    import shutil

    if output.is_symlink():
        shutil.rmtree(output.resolve(), ignore_errors=True)
        output.unlink()
    elif output.is_dir():
        shutil.rmtree(output)


def find_damage(folder: Path) -> Changes:
    """Files of a folder that are not those that its `run.json` names."""
    return {
        file: problem
        for file, sha256 in read_outputs(folder).items()
        if (problem := _describe_change(folder / file, sha256, None, take_stamp(folder / file)))
    }


def read_outputs(folder: Path) -> dict[str, str]:
    """File -> sha256, of all that a folder's `run.json` says was written; empty where it says nothing."""
    from contract.records import read_run

    written = read_run(folder).get("outputs")
    return written if isinstance(written, dict) else {}


def read_image_digests(folder: Path) -> dict[str, str]:
    """Case -> sha256 of its image, as a tool recorded what it read; empty for other steps than lists of cases."""
    from contract.records import read_run

    cases = read_run(folder).get("cases")
    digests = {case: dict(about).get("input_sha256") for case, about in dict(cases or {}).items()}
    return {case: sha256 for case, sha256 in digests.items() if sha256}


def is_case_list(folder: Path) -> bool:
    """Whether a tool made a folder case by case, so that it goes on with those cases that are missing."""
    from contract.records import read_run

    return "cases" in read_run(folder)


def list_files(run: Path, step: Step) -> dict[str, str | None]:
    """The files of a step's outputs -> sha256 where `run.json` has it."""
    files: dict[str, str | None] = {}
    for output in (step.output, *step.also):
        if (run / output).is_dir():
            files |= {f"{output}/{file}": sha256 for file, sha256 in read_outputs(run / output).items()}
            files |= {f"{output}/{name}": None for name in (RUN, STATUS) if (run / output / name).is_file()}
        else:
            files[output] = None
    return files


def missing_outputs(run: Path, step: Step, record: Record) -> Changes:
    """Outputs that are not there although no file is missing: folders without files."""
    return {
        output: "is missing"
        for output in (step.output, *step.also)
        if output not in record.files and not (run / output).exists()
    }


def changed_inputs(record: Record, needed: Mapping[str, Record]) -> Changes:
    """The needed steps whose results are others than those that a step read."""
    return {
        need: "was done again, with other bytes"
        for need, results in record.inputs.items()
        if need in needed and needed[need].results != results
    }
