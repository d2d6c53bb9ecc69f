"""Running one step's tool: its folders, its GPUs, its runner."""

from dataclasses import replace
from pathlib import Path

from contract import statefiles
from contract.atomic import naming
from contract.errors import UsageError
from contract.records import digest
from coordinator.runners import Invocation, Request, gpus
from coordinator.runners.choose import make_runner
from coordinator.study import steps
from coordinator.study.steps import Plan, Step
from coordinator.tools.added import read_record
from coordinator.tools.finding import Tool, find_tool


def run_tool(run: Path, plan: Plan, step: Step, out: Path, lock: int) -> int:
    """Run the tool of a step and return its exit code.

    Args:
        run: the run folder.
        plan: of the study.
        step: of kind "tool".
        out: folder that the tool writes to.
        lock: descriptor of the step's lock; the tool inherits it.

    Raises:
        UsageError: the tool is not built, or cannot be started.
        ValueError: the step names no tool or runtime.
    """
    if step.tool is None or step.runtime is None:
        raise ValueError(f"{step.id}: a step of kind tool must name its tool and runtime")
    log = steps.log_file(run, step.id)
    log.parent.mkdir(parents=True, exist_ok=True)
    statefiles.remove_unless_file(log)
    out.mkdir(parents=True, exist_ok=True)
    runner = make_runner(step.runtime, run)
    # On a machine without GPUs a step that could use one runs on the CPU; the tool records the device in run.json.
    count = min(step.gpus, len(gpus.list_gpus())) if runner.uses_this_machine else 0
    with gpus.lease(count) as devices, naming(log):
        invocation = make_invocation(run, plan, step, out)
        return runner.run(replace(invocation, gpus=devices, held_files=(lock, *devices.files)))


def make_invocation(run: Path, plan: Plan, step: Step, out: Path) -> Invocation:
    """The run of a step's tool, without GPUs and locks.

    Args:
        run: the run folder.
        plan: of the study.
        step: of kind "tool".
        out: folder that the tool writes to.

    Raises:
        UsageError: there is no such tool.
    """
    return Invocation(
        name=f"lq-{plan.study}-{digest([str(run.resolve()), step.id])[:8]}-{step.id.replace('/', '-')}",
        fingerprint=step.fingerprint,
        tool=_find_tool(run, plan, str(step.tool), step.image),
        arguments=step.arguments,
        data=Path(plan.data),
        dataset=step.dataset,
        shows_labels=step.shows_labels,
        out=out,
        log=steps.log_file(run, step.id),
        inputs={name: run / folder for name, folder in step.inputs.items()},
        weights=Path(plan.weights) if plan.weights else None,
        cases=frozenset(cases) if (cases := plan.about.get("cases", {}).get(step.dataset)) else None,
        is_foreign=step.image is not None,
        step=step.id,
        request=Request(step.cpus, step.memory_mb, step.gpus),
    )


def _find_tool(run: Path, plan: Plan, name: str, image: str | None) -> Tool:
    """The tool of a step: one with sources here, or the foreign image that the plan holds.

    Raises:
        UsageError: there is no such tool, or the plan does not hold it as it was written.
    """
    if image is None:
        return find_tool(name)
    try:
        kept = map(read_record, plan.about[steps.ADDED_TOOLS].values())
        added = next(each for each in kept if each.id == image)
    except (*statefiles.DAMAGE, StopIteration):
        raise UsageError(
            f"{run / steps.PLAN}: must hold what is kept of {name} ({image}), but does not; `coordinator run STUDY` "
            "writes it again"
        ) from None
    return Tool(run, added.manifest, added)
