"""A step of a tool by cases, shared out: each shard is the tool on some of them, as one of several jobs at once.

    cases ─┬─► 1-of-3 ─► .NAME.shards/1-of-3/out ─┐
           ├─► 2-of-3 ─►                     …   ─┼─► the step itself: takes over what they made, does what is missing
           └─► 3-of-3 ─►                     …   ─┘

Shards only save time. They leave no marker and no failure: what they did not do, the step does when they have ended, as
it goes on after a run that was cut short, and it alone checks and publishes.
"""

import shutil
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from contract import atomic, records
from contract.datasets import SUFFIX
from contract.errors import ExitCode
from coordinator.engine import inputs
from coordinator.engine.locks import hold_lock
from coordinator.engine.outputs import ChangedError
from coordinator.engine.run_tool import run_tool
from coordinator.engine.toolresults import begin_results, refuse_irregular
from coordinator.study import steps
from coordinator.study.steps import Plan, Step

CASES = "--cases"
INPUT, LIST = "shard", "cases.txt"
"""Where a shard reads which cases are its own: `/in/shard/cases.txt`."""


def can_share(run: Path, step: Step) -> bool:
    """Whether a step can be shared out: it makes label maps case by case, and has nothing yet that it could go on from.

    A foreign image may keep its own account of what is done, which nobody can put together.
    """
    makes_labels = step.kind == "tool" and "1-raw" in Path(step.output).parts and CASES in step.arguments
    if not makes_labels or step.image is not None:
        return False
    places = (run / step.output, steps.part_folder(run, step), steps.shards_folder(run, step))
    return not any(place.exists() for place in (*places, *([steps.shared_folder(run, step)] if step.shared else [])))


def do_shard(run: Path, plan: Plan, step: Step, number: int, count: int) -> int:
    """Do one of the shards of a step; returns 0 where each of its cases was tried.

    Args:
        run: the run folder.
        plan: of the study.
        step: that is shared out.
        number: of the shard, from 1.
        count: of all shards.

    Raises:
        ChangedError: something that the step reads is not what was planned, or was replaced meanwhile.
        StepFailedError: the tool wrote what it may not.
        UsageError: the tool can't be started.
    """
    folder = steps.shards_folder(run, step) / f"{number}-of-{count}"
    result = folder / "out" / step.dataset / step.label_version
    shard = _make_shard(step, run, folder, number)
    with hold_lock(
        _lock_file(folder), on_busy=lambda holder: _say(f"waiting for {holder}, which does {shard.id}")
    ) as lock:
        reading = inputs.begin_reading(run, plan, step)
        begin_results(folder, result, result, step.image)
        own = plan.about["cases"][step.dataset][number - 1 :: count]
        (folder / INPUT).mkdir(exist_ok=True)
        atomic.write_text(folder / INPUT / LIST, "".join(f"{case}\n" for case in own))
        code = run_tool(run, plan, shard, folder / "out", lock)
        refuse_irregular(folder, str(step.tool))
        try:
            reading.refuse_changes()
        except ChangedError:
            shutil.rmtree(folder)
            raise
    return 0 if code in {ExitCode.DONE, ExitCode.CASES_FAILED} else 1


def take_over(run: Path, plan: Plan, step: Step, result: Path) -> None:
    """Move what shards made to where the step's tool goes on from; a shard that still runs is waited for.

    Killed at any moment, it is repeated: the account of a shard is written before its files are moved.

    Args:
        run: the run folder.
        plan: of the study.
        step: that was shared out.
        result: folder that the step's tool writes to.
    """
    folder = steps.shards_folder(run, step)
    known = set(plan.about["cases"][step.dataset])
    for shard in _list_shards(folder):
        made = shard / "out" / step.dataset / step.label_version
        with hold_lock(_lock_file(shard), on_busy=lambda holder: _say(f"{step.id}: waiting for a shard ({holder})")):
            done = {case: status for case, status in records.read_statuses(made).items() if case in known}
            result.mkdir(parents=True, exist_ok=True)
            records.write_statuses(result, {**records.read_statuses(result), **done})
            if record := records.read_run(made):
                records.write_run(result, _join_runs(records.read_run(result), record, done))
            for file in (made / f"{case}{SUFFIX}" for case in done):
                if file.is_file():
                    file.replace(result / file.name)
            shutil.rmtree(shard)
    shutil.rmtree(folder, ignore_errors=True)


def _make_shard(step: Step, run: Path, folder: Path, number: int) -> Step:
    """The shard as a step of its own: other cases, another log, another name."""
    arguments = list(step.arguments)
    arguments[arguments.index(CASES) + 1] = f"@{INPUT}/{LIST}"
    return step._replace(
        id=f"{step.id}.shard-{number}", arguments=tuple(arguments), output=str(folder.relative_to(run)),
        inputs={**step.inputs, INPUT: str((folder / INPUT).relative_to(run))},
    )  # fmt: skip


def _join_runs(first: Mapping[str, Any], second: Mapping[str, Any], done: Collection[str]) -> dict[str, Any]:
    """The record of two runs of one tool on different cases; devices may differ, and all are named.

    Args:
        first: of the cases that were taken over before.
        second: of a shard.
        done: cases that are taken from the shard.
    """
    taken = {"outputs": {f"{case}{SUFFIX}" for case in done}, "cases": set(done)}
    mine = {name: {key: value for key, value in second.get(name, {}).items() if key in taken[name]} for name in taken}
    devices = {device for run in (first, second) for device in str(run.get("device") or "").split("; ") if device}
    joined = {name: {**first.get(name, {}), **mine[name]} for name in taken}
    return {
        **second, **{name: dict(sorted(values.items())) for name, values in joined.items()},
        "device": "; ".join(sorted(devices)),
        "seconds": round(first.get("seconds", 0) + second.get("seconds", 0), 3),
    }  # fmt: skip


def _list_shards(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.glob("*-of-*")) if path.is_dir()) if folder.is_dir() else iter(())


def _lock_file(shard: Path) -> Path:
    return shard.with_name(f".{shard.name}.lock")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
