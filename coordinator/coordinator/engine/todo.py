"""What a run must do: steps that were never done, are out of date, or whose results are no longer as they were written.

An earlier release kept no records. Its files are read once, compared with the sha256 that `run.json` has of them,
where it has one, and recorded; so a run folder of last year is not done again.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from contract import statefiles
from contract.records import read_statuses
from coordinator.engine import outputs
from coordinator.engine.outputs import Changes, Record
from coordinator.study import steps
from coordinator.study.steps import Plan, Step

MOST_LINES = 5
"""How many files of a step are named."""


class Todo(NamedTuple):
    """What a run must do.

    Attributes:
        steps: steps that are not done, in the plan's order.
        changes: step -> its files that are not as they were written, or why it is done again.
        adopted: steps of an earlier release, whose files were read and recorded.
        retried: step -> its cases that failed because of the machine, which are tried again.
    """

    steps: tuple[Step, ...]
    changes: Mapping[str, Changes]
    adopted: tuple[str, ...]
    retried: Mapping[str, tuple[str, ...]]

    def lines(self) -> list[str]:
        """What a user should know, a line each."""
        lines = []
        for step_id, files in self.changes.items():
            shown = list(files.items())[:MOST_LINES]
            lines += [f"{file}: {problem}; {step_id} must be done again" for file, problem in shown]
            if len(files) > MOST_LINES:
                lines.append(f"{step_id}: and {len(files) - MOST_LINES} more files")
        lines += [
            f"{step_id}: {', '.join(cases[:MOST_LINES])}{', …' if len(cases) > MOST_LINES else ''} failed for want of "
            "memory, or of a disk that answers; tried again"
            for step_id, cases in self.retried.items()
        ]
        if self.adopted:
            lines.append(
                f"{len(self.adopted)} steps have no sound record of their files' sizes and times, as steps of an "
                "earlier release; their files were read, compared with the sha256 in `run.json`, and recorded"
            )
        return lines


def find_todo(run: Path, plan: Plan, read: Callable[[str], bool] = outputs.never, *, mend: bool = False) -> Todo:
    """Compare all that a plan's steps wrote with their records.

    Args:
        run: the run folder.
        plan: of the study.
        read: which files are read although their stamps are the same.
        mend: write new stamps, missing records, and markers that are missing beside sound records, which only a crash
            leaves. The caller must hold the run folder; otherwise nothing is written.
    """
    todo: list[Step] = []
    changes: dict[str, Changes] = {}
    adopted: list[str] = []
    records: dict[str, Record] = {}
    retried: dict[str, tuple[str, ...]] = {}
    for step in plan.steps:
        record = outputs.read_record(run, step.id)
        if record is None and steps.is_done(run, step):
            if not mend:
                continue
            record, changes[step.id] = _adopt(run, step, records)
            adopted.append(step.id)
        if record is None or record.marker.get("fingerprint") != step.fingerprint:
            todo.append(step)
            continue
        record, found = outputs.find_changes(run, step.id, record, read, save=mend)
        changes[step.id] = {**changes.get(step.id, {}), **found, **outputs.missing_outputs(run, step, record)}
        records[step.id] = record
        if not changes[step.id]:
            changes[step.id] = outputs.changed_inputs(record, records)
        if cases := _cases_to_retry(run, step):
            retried[step.id] = cases
        if changes[step.id] or cases:
            todo.append(step)
        elif mend and not steps.is_done(run, step):
            outputs.write_marker(run, step, record)
    return Todo(tuple(todo), {step: found for step, found in changes.items() if found}, tuple(adopted), retried)


def _cases_to_retry(run: Path, step: Step) -> tuple[str, ...]:
    """The cases of a step that failed because of the machine."""
    if step.kind not in {"tool", "remap"}:
        return ()
    return tuple(sorted(status.case for status in read_statuses(run / step.output).values() if status.retry))


def find_dependents(plan: Plan, todo: Iterable[Step]) -> list[Step]:
    """The steps that are to be looked at again after others were done: all that depend on these, in plan order."""
    reached = {step.id for step in todo}
    first = set(reached)
    for step in plan.steps:
        if reached.intersection(step.needs):
            reached.add(step.id)
    return [step for step in plan.steps if step.id in reached - first]


def _adopt(run: Path, step: Step, records: Mapping[str, Record]) -> tuple[Record | None, Changes]:
    """Record the files of a step that an earlier release did, after reading them all."""
    files = outputs.list_files(run, step)
    marker = json.loads(steps.marker_file(run, step.id).read_text(encoding="utf-8"))
    inputs = {need: records[need].results for need in step.needs if need in records}
    try:
        present = {file: sha256 for file, sha256 in files.items() if sha256 or (run / file).is_file()}
        record = Record(marker, inputs, outputs.mark_files(run, present))
    except OSError as error:
        return None, {step.output: f"cannot be read: {error.strerror}"}
    if changes := _unscored_cases(run, step):
        return None, changes
    record, changes = outputs.find_changes(run, step.id, record, outputs.always)
    return outputs.save_record(run, step.id, record), changes


def _unscored_cases(run: Path, step: Step) -> Changes:
    """Scores of other cases than those that were to be scored: an earlier release scored the files that it found."""
    if "prediction" not in step.settings:
        return {}
    from coordinator.scoring.framefiles import parse_frame

    places = (step.settings["prediction"], step.settings["reference"])
    asked = set.intersection(
        *({file.removesuffix(".nii.gz") for file in outputs.read_outputs(run / place)} for place in places)
    )
    frame = statefiles.read(run / step.output, parse_frame)
    if frame is None:
        return {step.output: "cannot be read"}
    if missing := sorted(asked - set(frame["case"].unique())):
        return {step.output: f"lacks {len(missing)} of {len(asked)} cases: {', '.join(missing)}"}
    return {}
