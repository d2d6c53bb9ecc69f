"""From a study file to a report: what `coordinator plan`, `run` and `report` share."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from contract import atomic
from contract.errors import ExitCode, UsageError
from contract.records import digest, read_statuses
from coordinator.cli.display import Display
from coordinator.datasets.check import DatasetCheck
from coordinator.engine import snakemake
from coordinator.runners import gpus
from coordinator.runners.choose import choose_runner
from coordinator.study import steps
from coordinator.study.file import Study, load_study
from coordinator.study.pipeline import check_datasets, make_plan
from coordinator.study.steps import Plan, Step

REPORT = "report"
REPORT_VERSION = 4
"""Raise it when the report changes, so that reports are written again."""


@dataclass(frozen=True, slots=True)
class PreparedStudy:
    """A study with checked data and a plan.

    Attributes:
        study: with resolved names.
        checked: dataset name -> its check.
        plan: all its steps.
        runtime: docker or process.
    """

    study: Study
    checked: dict[str, DatasetCheck]
    plan: Plan
    runtime: str

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.study.run_folder


def prepare(file: Path, runtime: str | None, warn: Callable[[str], None]) -> PreparedStudy:
    """Read a study, check all its data, and make its plan.

    Args:
        file: the study file.
        runtime: docker or process; the study file's when None.
        warn: called with a line for each problem of the data.

    Raises:
        UsageError: the study cannot be run.
    """
    study = load_study(file)
    runner = choose_runner(runtime or study.content.run.runtime, study.tools)
    checked = check_datasets(study)
    for name, check in checked.items():
        for case, errors in check.set_aside.items():
            for error in errors:
                warn(f"{name}: {case} is set aside: {error}")
        for warning in check.summary()["warnings"]:
            warn(f"{name}: {warning}")
    return PreparedStudy(study, checked, make_plan(study, checked, runner), runner.runtime)


def run_study(prepared: PreparedStudy, cores: int | None, only: str | None, console: Console) -> int:
    """Do the steps that are not done, write the report, and return the exit code: 0, or 3 where something failed."""
    run, plan, settings = prepared.run, prepared.plan, prepared.study.content.run
    with snakemake.lock_run_folder(run):
        shutil.copyfile(prepared.study.file, run / "study.yaml")
        for name, check in prepared.checked.items():
            atomic.write_json(run / name / "check.json", check.summary())
        todo = select_steps(plan, snakemake.write_plan(run, plan), only)
        if todo:
            console.print(
                f"{len(todo)} of {len(plan.steps)} steps to do with runtime {prepared.runtime}; run folder: {run}",
                soft_wrap=True,
            )
        else:
            console.print(f"all {len(plan.steps)} steps are done")
        gpu_count = _count_gpus(settings.gpus)
        with Display(run, plan, len(todo), console) as display:
            limits = snakemake.Limits(
                cores or settings.cores or len(os.sched_getaffinity(0)), gpu_count, settings.retries
            )
            failures = snakemake.run_steps(run, plan, todo, limits, display.update)
        write_report(run)
    return _print_outcome(run, plan, failures, prepared.checked, console)


def select_steps(plan: Plan, todo: list[Step], only: str | None) -> list[Step]:
    """Select the steps to do whose id contains a text, and all that they need.

    Raises:
        UsageError: no step's id contains it.
    """
    if only is None:
        return todo
    selected = {step.id for step in plan.steps if only in step.id}
    if not selected:
        raise UsageError(f"--only: some step's id must contain {only!r}, but none does; `coordinator plan` lists them")
    for step in reversed(plan.steps):
        if step.id in selected:
            selected.update(step.needs)
    return [step for step in todo if step.id in selected]


def write_report(run: Path) -> Path:
    """Write the report of a run folder, unless its report is of the same results."""
    plan = steps.read_plan(run)
    markers = [_read_json(steps.marker_file(run, step.id)) for step in plan.steps]
    checks = [_read_json(run / dataset / "check.json") for dataset in plan.about["versions"]]
    failures = _read_json(run / snakemake.FAILURES)
    fingerprint = digest([REPORT_VERSION, steps.plan_text(plan), failures, markers, checks])
    marker = steps.marker_file(run, REPORT)
    page = run / REPORT / "index.html"
    if page.is_file() and _read_json(marker) == {"fingerprint": fingerprint}:
        return page
    from coordinator import report  # matplotlib takes a second to import

    part = run / f".{REPORT}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    report.write_report(run, part)
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.unlink(missing_ok=True)
    shutil.rmtree(run / REPORT, ignore_errors=True)
    part.rename(run / REPORT)
    atomic.write_json(marker, {"fingerprint": fingerprint})
    return page


def _print_outcome(
    run: Path, plan: Plan, failures: dict[str, str], checked: dict[str, DatasetCheck], console: Console
) -> int:
    """Print what failed and where the report is; returns the exit code."""
    set_aside = {
        f"{name}/{case}": errors[0] for name, check in checked.items() for case, errors in check.set_aside.items()
    }
    failed_cases = _find_failed_cases(run, plan)
    groups = {"cases set aside": set_aside, "cases failed": failed_cases, "steps not done": failures}
    for heading, reasons in groups.items():
        if reasons:
            console.print(f"{len(reasons)} {heading}:", style="yellow")
        for name, reason in reasons.items():
            console.print(f"  {name}: {reason}", markup=False, soft_wrap=True)
    console.print(f"report: {run / REPORT / 'index.html'}", markup=False, soft_wrap=True)
    return ExitCode.CASES_FAILED if any(groups.values()) else ExitCode.DONE


def _find_failed_cases(run: Path, plan: Plan) -> dict[str, str]:
    """Step and case -> why it could not be done."""
    return {
        f"{step.id}/{status.case}": status.reason or "failed"
        for step in plan.steps
        if step.kind in {"tool", "remap"}
        for status in read_statuses(run / step.output).values()
        if status.state == "failed"
    }


def _count_gpus(gpus_setting: str | int | tuple[int, ...]) -> int:
    """How many GPUs steps may use at once."""
    present = len(gpus.list_gpus())
    if gpus_setting == "all":
        return present
    allowed = gpus_setting if isinstance(gpus_setting, int) else len(gpus_setting)
    return min(int(allowed), present)


def _read_json(path: Path) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
