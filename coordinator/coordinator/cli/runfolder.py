"""A run folder as commands see it: where it is, what is to do in it, and the state of each step."""

from collections.abc import Callable, Mapping
from pathlib import Path

from contract.errors import UsageError
from coordinator.engine import locks
from coordinator.study import steps


def run_folder(study: Path) -> Path:
    """The run folder of a study file, or the path itself where it is a run folder.

    Raises:
        UsageError: the study was never run.
    """
    from coordinator.study.file import load_study
    from coordinator.study.runfolder import refuse_older_layout

    folder = study if study.is_dir() else load_study(study).run_folder
    if not (folder / steps.PLAN).exists():
        raise UsageError(f"{folder}: has no {steps.PLAN}, so this study was not run yet; use `coordinator run {study}`")
    refuse_older_layout(folder)
    return folder.resolve()


def find_todo(run: Path, plan: steps.Plan, warn: Callable[[str], None], *, verify: bool = False) -> list[steps.Step]:
    """The steps that are not done; files that are no longer as they were written are named."""
    from coordinator.engine import outputs, todo

    found = todo.find_todo(run, plan, outputs.always if verify else outputs.never)
    for line in found.lines():
        warn(line)
    return list(found.steps)


def step_state(folder: Path, step: steps.Step, jobs: Mapping[str, str] = {}) -> tuple[str, str]:
    """Whether a step is done, running, failed or to do, and why it failed, or where it is in the queue of a cluster.

    Args:
        folder: the run folder.
        step: of its plan.
        jobs: step -> words for its job, for those that are in a queue.
    """
    from coordinator.engine import outputs

    if steps.is_done(folder, step):
        record = outputs.read_record(folder, step.id)
        changes = outputs.find_changes(folder, step.id, record, save=False)[1] if record else {}
        return ("changed", "; ".join(f"{f}: {why}" for f, why in changes.items())) if changes else ("done", "")
    if step.id in jobs:
        state, _, note = jobs[step.id].partition(": ")
        return state, note
    if locks.is_held(steps.lock_file(folder, step.id)):
        return "running", ""
    failure = steps.read_failure(folder, step.id)
    return ("failed", failure) if failure else ("to do", "")
