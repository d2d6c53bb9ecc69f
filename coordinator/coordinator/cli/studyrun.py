"""From a study file to a report: what `coordinator plan`, `run`, `status` and `report` share."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from contract import atomic
from contract.errors import UsageError
from contract.records import digest, read_statuses
from coordinator.cli.display import Display
from coordinator.datasets.check import Checked
from coordinator.engine import snakemake
from coordinator.runners import gpus
from coordinator.runners.choose import choose_runner
from coordinator.study import steps
from coordinator.study.file import Study, load_study
from coordinator.study.pipeline import check_datasets, make_plan
from coordinator.study.steps import Plan, Step

REPORT = "report"
REPORT_VERSION = 2


@dataclass(frozen=True, slots=True)
class Prepared:
    """A study, checked and planned."""

    study: Study
    checked: dict[str, Checked]
    plan: Plan
    runtime: str

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.study.run_folder


def prepare(file: Path, runtime: str | None, say: Callable[[str], None]) -> Prepared:
    """Read a study, look at all its data, and make its plan.

    Args:
        file: the study file.
        runtime: docker or process; the study file's when None.
        say: gets a line for each problem of the data.

    Raises:
        UsageError: the study cannot be run.
    """
    study = load_study(file)
    runner = choose_runner(runtime or study.content.run.runtime, study.tools)
    checked = check_datasets(study)
    for name, found in checked.items():
        for case, errors in found.set_aside.items():
            for error in errors:
                say(f"{name}: {case} is set aside: {error}")
        for warning in found.summary()["warnings"]:
            say(f"{name}: {warning}")
    return Prepared(study, checked, make_plan(study, checked, runner), runner.runtime)


def run_study(prepared: Prepared, cores: int | None, only: str | None, console: Console) -> int:
    """Do what is to be done, make the report, and return the exit code: 0, or 3 where something failed."""
    run, plan, settings = prepared.run, prepared.plan, prepared.study.content.run
    with snakemake.run_lock(run):
        shutil.copyfile(prepared.study.file, run / "study.yaml")
        for name, checked in prepared.checked.items():
            atomic.write_json(run / name / "check.json", checked.summary())
        todo = selected(plan, snakemake.write_plan(run, plan), only)
        if todo:
            console.print(
                f"{len(todo)} of {len(plan.steps)} steps to do, with runtime {prepared.runtime}, in {run}",
                soft_wrap=True,
            )
        else:
            console.print(f"all {len(plan.steps)} steps are done")
        devices = _gpu_count(settings.gpus)
        with Display(run, plan, len(todo), console) as display:
            limits = snakemake.Limits(cores or settings.cores or os.cpu_count() or 1, devices, settings.retries)
            failed = snakemake.run_steps(run, plan, todo, limits, display.update)
        write_report(run)
    return tell_outcome(run, plan, failed, prepared.checked, console)


def selected(plan: Plan, todo: list[Step], only: str | None) -> list[Step]:
    """The steps to do whose id holds a text, with all that they need.

    Raises:
        UsageError: no step's id holds it.
    """
    if only is None:
        return todo
    wanted = {step.id for step in plan.steps if only in step.id}
    if not wanted:
        raise UsageError(f"--only: no step's id holds {only!r}; `coordinator plan` lists them")
    for step in reversed(plan.steps):
        if step.id in wanted:
            wanted.update(step.needs)
    return [step for step in todo if step.id in wanted]


def write_report(run: Path) -> Path:
    """Make the report of a run folder, unless the one that is there is of the same results."""
    plan = steps.read_plan(run)
    state = digest(
        [REPORT_VERSION, steps.plan_text(plan), _read(run / snakemake.FAILURES), _done(run, plan), _checks(run, plan)]
    )
    mark = steps.marker_file(run, REPORT)
    page = run / REPORT / "index.html"
    if page.is_file() and _read(mark) == {"fingerprint": state}:
        return page
    from coordinator import report  # matplotlib takes a second to import

    part = run / f".{REPORT}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    report.write_report(run, part)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.unlink(missing_ok=True)
    shutil.rmtree(run / REPORT, ignore_errors=True)
    part.rename(run / REPORT)
    atomic.write_json(mark, {"fingerprint": state})
    return page


def tell_outcome(run: Path, plan: Plan, failed: dict[str, str], checked: dict[str, Checked], console: Console) -> int:
    """Say what failed and where the report is; returns the exit code."""
    aside = {f"{name}/{case}": errors for name, c in checked.items() for case, errors in c.set_aside.items()}
    cases = failed_cases(run, plan)
    for what, reasons in (
        ("cases set aside", {k: v[0] for k, v in aside.items()}),
        ("cases failed", cases),
        ("steps not done", failed),
    ):
        if reasons:
            console.print(f"{len(reasons)} {what}:", style="yellow")
        for name, reason in reasons.items():
            console.print(f"  {name}: {reason}", markup=False, soft_wrap=True)
    console.print(f"report: {run / REPORT / 'index.html'}", markup=False, soft_wrap=True)
    return 3 if aside or cases or failed else 0


def failed_cases(run: Path, plan: Plan) -> dict[str, str]:
    """Step and case -> why a tool could not do it."""
    return {
        f"{step.id}/{status.case}": status.reason or "failed"
        for step in plan.steps
        if step.kind == "tool"
        for status in read_statuses(run / step.output).values()
        if status.state == "failed"
    }


def _gpu_count(wanted: str | int | tuple[int, ...]) -> int:
    """How many GPUs steps may use at once."""
    there = len(gpus.host_gpus())
    if wanted == "all":
        return there
    asked = wanted if isinstance(wanted, int) else len(wanted)
    return min(int(asked), there)


def _done(run: Path, plan: Plan) -> list[Any]:
    return [_read(steps.marker_file(run, step.id)) for step in plan.steps]


def _checks(run: Path, plan: Plan) -> list[Any]:
    return [_read(run / dataset / "check.json") for dataset in plan.about["versions"]]


def _read(path: Path) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
