"""Do one step of a plan, so that a crash at any moment costs only the time since the last case.

    lock ─► done already? ─► work in `.NAME.part` ─► check ─► rename to NAME ─► record its files ─► write the marker

What the step reads is compared with the plan before it begins and before its output gets its name (`inputs`).
The tool inherits the step's file lock. So when a tool outlives its coordinator, the next run waits for it.
Imports at the top stay few: this runs once for each step, and a step without work is mostly the start of Python.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from contract import atomic
from contract.errors import CaseError, ExitCode, Stopped, UsageError
from contract.interruptions import raise_dropped_again
from contract.oserrors import describe_os_error
from coordinator.engine import inputs, outputs
from coordinator.engine.inputs import Reading
from coordinator.engine.locks import hold_lock
from coordinator.engine.outputs import ChangedError, StepFailedError
from coordinator.study import steps
from coordinator.study.steps import Plan, Step


def execute(run: Path, step_id: str, fingerprint: str | None = None, shard: str | None = None) -> int:
    """Do a step, or one of its shards.

    Args:
        run: the run folder with its `plan.json`.
        step_id: of the step.
        fingerprint: that the step must have, where the plan may have changed since this was asked for.
        shard: "I/N" for the I-th of N shards, from 1.

    Returns:
        0 when the step is done, now or before; 1 when it failed, with the reason in `.steps/<id>.failed`. For a shard,
        whether it was done; it leaves nothing in `.steps`.

    Raises:
        UsageError: the plan has no such step, or another one of this id.
    """
    signal.signal(signal.SIGTERM, _stop)
    raise_dropped_again()
    plan = steps.read_plan(run, only=step_id)
    step = plan.step(step_id)
    if fingerprint is not None and step.fingerprint != fingerprint:
        raise UsageError(
            f"{run / steps.PLAN}: must hold {step_id} as it was when it was submitted, but the study was changed; "
            "`coordinator run STUDY` submits the step as it is now"
        )

    if shard is not None:
        return _do_shard(run, plan, step, shard)

    def say_waiting(holder: str) -> None:
        sys.stderr.write(f"{step.id}: waiting for an earlier run of this step ({holder}) to end\n")

    with hold_lock(steps.lock_file(run, step.id), on_busy=say_waiting) as lock:
        try:
            record = outputs.find_current(run, step) or _do_step(run, plan, step, lock)
        except Exception as error:  # noqa: BLE001 - every failure of a step is recorded
            expected = _describe_expected(error)
            reason = expected or f"{type(error).__name__}: {error}"
            atomic.write_text(steps.failure_file(run, step.id), f"{reason}\n")
            if isinstance(error, ChangedError):
                atomic.write_text(run / inputs.changed_mark(step.id), "")
            sys.stderr.write(f"{step.id}: {reason}\n")
            if not expected:
                import traceback

                traceback.print_exc()
            return 1
        steps.failure_file(run, step.id).unlink(missing_ok=True)
        outputs.write_marker(run, step, record)
    return 0


def _do_shard(run: Path, plan: Plan, step: Step, shard: str) -> int:
    """Do a shard of a step that is not done; what goes wrong is told, and left to the step."""
    from coordinator.engine import shards

    number, count = map(int, shard.split("/"))
    try:
        return 0 if steps.is_done(run, step) else shards.do_shard(run, plan, step, number, count)
    except Exception as error:
        expected = _describe_expected(error)
        if expected is None:
            raise
        sys.stderr.write(f"{step.id}, shard {shard}: {expected}\n")
        return 1


def _describe_expected(error: Exception) -> str | None:
    """The sentence for what may happen; None for a mistake in the program, whose traceback is worth reading."""
    if isinstance(error, StepFailedError | CaseError | UsageError | ChangedError):
        return str(error)
    return describe_os_error(error) if isinstance(error, OSError) else None


def _do_step(run: Path, plan: Plan, step: Step, lock: int) -> outputs.Record:
    """Do a step that is not done, and record what it wrote."""
    steps.marker_file(run, step.id).unlink(missing_ok=True)
    reading = inputs.begin_reading(run, plan, step)
    outputs.remove_damaged(run, step)
    summary = KINDS[step.kind](plan, reading, lock)
    return outputs.write_record(run, step, {"fingerprint": step.fingerprint, **summary})


Summary = dict[str, object]
"""What the marker of a step records beside its fingerprint."""


def _do_nothing(plan: Plan, reading: Reading, lock: int) -> Summary:
    """Do a step without work, to measure the engine."""
    (reading.run / reading.step.output).mkdir(parents=True, exist_ok=True)
    return {}


def _do_tool(plan: Plan, reading: Reading, lock: int) -> Summary:
    """Run a tool, and publish what it wrote."""
    import shutil

    from coordinator.engine import shards
    from coordinator.engine.run_tool import run_tool
    from coordinator.engine.toolresults import begin_results, refuse_irregular, refuse_unsound

    run, step = reading.run, reading.step
    part = steps.part_folder(run, step)
    result = part / "out" / step.dataset / step.label_version
    if step.shared and _link_shared(run, step):
        return {"shared": True}
    begin_results(part, result, run / step.output, step.image)
    shards.take_over(run, plan, step, result)
    code = run_tool(run, plan, step, part / "out", lock)
    refuse_irregular(part, str(step.tool))
    _refuse_changes(reading, result)
    written = outputs.read_outputs(result)
    if code not in {ExitCode.DONE, ExitCode.CASES_FAILED}:
        raise StepFailedError(f"{step.tool} ended with exit code {code}: {_last_line(run, step)}")
    if not written:
        raise StepFailedError(f"{step.tool} wrote no case: {_last_line(run, step)}")
    refuse_unsound(result, str(step.tool), step.image)
    _remove_unrecorded(result, set(written))
    if step.shared:
        _share(run, step, result)
    else:
        _publish(result, run / step.output)
    shutil.rmtree(part)
    return {"exit_code": code}


def _do_coordinator_step(plan: Plan, reading: Reading, lock: int) -> Summary:
    """Do a step that needs no tool."""
    import shutil

    from coordinator.engine import coordinator_steps

    run, step = reading.run, reading.step
    part = steps.part_folder(run, step)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    result = part / (run / step.output).name
    coordinator_steps.FUNCTIONS[step.kind](run, plan, step, result)
    reading.refuse_changes()
    reading.refuse_other_cases({})
    for output in (step.output, *step.also):
        _publish(part / Path(output).relative_to(Path(step.output).parent), run / output)
    shutil.rmtree(part)
    return {}


KINDS: dict[str, Callable[[Plan, Reading, int], Summary]] = {
    "nothing": _do_nothing,
    "tool": _do_tool,
    "labels": _do_coordinator_step,
    "remap": _do_coordinator_step,
    "score": _do_coordinator_step,
    "score-predictions": _do_coordinator_step,
    "agreement": _do_coordinator_step,
    "join": _do_coordinator_step,
    "mix": _do_coordinator_step,
}


def _refuse_changes(reading: Reading, result: Path) -> None:
    """Refuse what a tool made of other files than those of the plan.

    Where cases were replaced, a list of cases stays where it is: the tool compares each case's digests itself, and does
    again what differs. What it had begun to read before all cases, it can't tell from what it should have read.
    """
    try:
        reading.refuse_changes()
    except ChangedError:
        outputs.remove_output(result)
        raise
    try:
        reading.refuse_other_cases(outputs.read_image_digests(result))
    except ChangedError:
        if not outputs.is_case_list(result):
            outputs.remove_output(result)
        raise


def _last_line(run: Path, step: Step) -> str:
    """The last line that a tool printed, most often its error, and where the rest is."""
    log = steps.log_file(run, step.id)
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    lines = [line for line in text.splitlines() if line.strip()]
    return f"{lines[-1] if lines else 'it printed nothing'} (log: {log.relative_to(run)})"


def _link_shared(run: Path, step: Step) -> bool:
    """Link the output of another study that has done the same step; False where none has."""
    folder = steps.shared_folder(run, step)
    if not (folder / "run.json").is_file():
        return False
    if changes := outputs.find_damage(folder):
        file, problem = next(iter(changes.items()))
        sys.stderr.write(f"{folder / file}: {problem}; {step.id} is done again, for all studies that share it\n")
        outputs.remove_output(folder)
        return False
    _link(run / step.output, folder)
    return True


def _share(run: Path, step: Step, result: Path) -> None:
    """Keep an output beside the run folders; where two studies made it at once, the first one's stays."""
    folder = steps.shared_folder(run, step)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        result.rename(folder)
        atomic.sync(folder.parent)
    except OSError:
        if not (folder / "run.json").is_file():
            raise
    _link(run / step.output, folder)


def _link(output: Path, folder: Path) -> None:
    """Make or replace the link with one rename; a folder of an older plan is removed."""
    import shutil

    output.parent.mkdir(parents=True, exist_ok=True)
    if output.is_dir() and not output.is_symlink():
        shutil.rmtree(output)
    fresh = output.with_name(f".{output.name}.link")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(os.path.relpath(folder, output.parent))
    fresh.replace(output)
    atomic.sync(output.parent)


def _remove_unrecorded(result: Path, outputs: set[str]) -> None:
    """Remove files that are not of this plan, such as those of cases that have left the dataset."""
    keep = {*outputs, "run.json", "status.jsonl"}
    for path in sorted(result.rglob("*"), reverse=True):
        if path.is_file() and str(path.relative_to(result)) not in keep:
            path.unlink()


def _publish(result: Path, output: Path) -> None:
    """Give a result its name. An older one is removed first, which is harmless: its marker no longer counts."""
    output.parent.mkdir(parents=True, exist_ok=True)
    if output.is_symlink():
        output.unlink()
    if output.is_dir():
        import shutil

        shutil.rmtree(output)
    result.rename(output)
    atomic.sync(output.parent)


def _stop(signum: int, frame: FrameType | None) -> None:
    """Unwind the stack on SIGTERM; the runner stops its tool on the way."""
    raise Stopped


if __name__ == "__main__":
    try:
        code = execute(Path(sys.argv[1]), *sys.argv[2:5])
    except Stopped:
        code = ExitCode.STOPPED
    except (UsageError, OSError) as error:  # before its work began
        sentence = str(error) if isinstance(error, UsageError) else describe_os_error(error)
        if sentence is None:
            raise
        sys.stderr.write(f"error: {sentence}\n")
        code = ExitCode.USAGE
    raise SystemExit(code)
