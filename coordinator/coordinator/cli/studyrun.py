"""From a study file to a report: what `coordinator plan`, `run` and `report` share."""

import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from contract import atomic, statefiles
from contract.datasets import refuse_dataset_folder
from contract.errors import ExitCode, UsageError
from contract.records import digest, read_statuses
from coordinator.cli.display import Display
from coordinator.cli.place import choose_place, choose_runtime
from coordinator.datasets.check import DatasetCheck
from coordinator.engine import inputs, outputs, snakemake
from coordinator.engine.places import Place
from coordinator.engine.todo import find_todo
from coordinator.results import load_run
from coordinator.runners.choose import choose_runner
from coordinator.study import steps
from coordinator.study.file import Study, load_study
from coordinator.study.pipeline import check_datasets, make_plan
from coordinator.study.steps import Plan, Step

REPORT = "report"
REPORT_MARKER = ".report.json"
REPORT_VERSION = 5
"""Raise it when the report changes, so that reports are written again."""
FURTHER_ROUNDS = 2
"""How often a study is planned again because files were replaced while it ran."""


@dataclass(frozen=True, slots=True)
class PreparedStudy:
    """A study with checked data and a plan.

    Attributes:
        study: with resolved names.
        checked: dataset name -> its check.
        plan: all its steps.
        runtime: docker, apptainer, process or kubernetes.
        text: of the study file, as it was read.
    """

    study: Study
    checked: dict[str, DatasetCheck]
    plan: Plan
    runtime: str
    text: bytes

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.study.run_folder


def prepare(file: Path, runtime: str | None, warn: Callable[[str], None], place: str | None = None) -> PreparedStudy:
    """Read a study, check all its data, and make its plan.

    Args:
        file: the study file.
        runtime: docker, apptainer or process; the study file's when None.
        warn: called with a line for each problem of the data.
        place: local, slurm or kubernetes; the study file's when None.

    Raises:
        UsageError: the study cannot be run.
    """
    study, text = _read_study(file)
    runner = choose_runner(choose_runtime(study, runtime, place), study.tools)
    checked = check_datasets(study)
    for name, check in checked.items():
        for case, errors in check.set_aside.items():
            for error in errors:
                warn(f"{name}: {case} is set aside: {error}")
        for warning in check.summary()["warnings"]:
            warn(f"{name}: {warning}")
    for generator in study.generators:
        if (added := generator.tool.added) and generator.variant not in added.checks:
            warn(f"{generator.name}: image {added.image} {added.describe_check(generator.variant)}")
    return PreparedStudy(study, checked, make_plan(study, checked, runner), runner.runtime, text)


def describe_added(study: Study) -> Iterator[str]:
    """A line for each label version that a foreign image makes: which image, and what its check said."""
    for generator in study.generators:
        if added := generator.tool.added:
            check = added.describe_check(generator.variant)
            yield f"{generator.name}: a foreign image, {added.image} ({added.id}), which {check}"


def describe_leaks(plan: Plan) -> Iterator[str]:
    """A line for each leak, with its cases."""
    for leak in plan.about["leaks"]:
        cases = f" Cases: {', '.join(leak['cases'])}" if leak["cases"] else ""
        yield f"leak ({leak['sure']}): {leak['sentence']}{cases}"


def _read_study(file: Path) -> tuple[Study, bytes]:
    """A study, and the text that it was read from; it is read again where somebody saved it meanwhile."""
    while True:
        before = _read_bytes(file)
        study = load_study(file)
        if _read_bytes(file) == before:
            return study, before


def _read_bytes(file: Path) -> bytes:
    """The content of a file; nothing where it was moved away, or is a pipe, which would never end."""
    try:
        return file.read_bytes() if file.is_file() else b""
    except OSError:
        return b""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a study is run, as the command line says.

    Attributes:
        place: local, slurm or kubernetes; None for the study file's.
        cores: CPU cores to use at once; None for the study file's.
        only: text in the ids of the steps to do; None for all.
        verify: whether all bytes of all results are read and compared with their records.
    """

    place: str | None = None
    cores: int | None = None
    only: str | None = None
    verify: bool = False


def run_study(
    prepared: PreparedStudy, options: RunOptions, console: Console, prepare_again: Callable[[], PreparedStudy]
) -> int:
    """Do the steps that are not done, write the report, and return the exit code: 0, or 3 where something failed.

    Args:
        prepared: the study.
        options: of the command line.
        console: where progress is shown.
        prepare_again: checks the data and plans again, where files were replaced while steps read them.
    """
    run = prepared.run
    with snakemake.lock_run_folder(run):
        failures = _run_once(prepared, options, console)
        for _ in range(FURTHER_ROUNDS):
            if not inputs.take_changed(run) and not _find_changed_results(run, prepared.plan, options.only, failures):
                write_report(run)
                if inputs.find_replaced(run, prepared.plan) is None:
                    break
            console.print("files were replaced while steps ran; the data are checked and planned again")
            again = prepare_again()
            if again.run != run:  # the study file has another name now, which is said below
                break
            prepared = again
            failures = _run_once(prepared, options, console)
        write_report(run)
    if _read_bytes(prepared.study.file) != prepared.text:
        console.print(
            f"{prepared.study.file}: was changed while the study ran; these results are of the file as it was, which "
            f"{run / 'study.yaml'} holds; run it again for the new one", markup=False, soft_wrap=True, style="yellow",
        )  # fmt: skip
    return _print_outcome(run, prepared.plan, failures, prepared.checked, console)


def _run_once(prepared: PreparedStudy, options: RunOptions, console: Console) -> dict[str, str]:
    """Write a plan and do its steps; returns those that were not done, with reasons."""
    run, plan, place = (
        prepared.run,
        prepared.plan,
        choose_place(prepared.study, prepared.plan, options.place, options.cores),
    )
    todo = write_plan(prepared, place, options, console)
    looked_at = select_steps(plan, snakemake.find_looked_at(run, plan, todo), options.only)
    if todo:
        more = f", and {len(looked_at)} that depend on them if their bytes differ" if looked_at else ""
        console.print(
            f"{len(todo)} of {len(plan.steps)} steps to do{more} with runtime {prepared.runtime}{place.describe()}; "
            f"run folder: {run}",
            soft_wrap=True,
        )
    else:
        console.print(f"all {len(plan.steps)} steps are done")
    with Display(run, plan, len(todo) + len(looked_at), console) as display:
        return snakemake.run_steps(run, plan, todo, place, display.update, looked_at)


def write_plan(prepared: PreparedStudy, place: Place, options: RunOptions, console: Console) -> list[Step]:
    """Write a plan, and all that its steps read beside data; returns the steps to do."""

    def say(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True, style="yellow")

    run, plan = prepared.run, prepared.plan
    place.prepare(run, plan)
    copy = run / "study.yaml"
    if not (copy.exists() and copy.samefile(prepared.study.file)):
        atomic.write_bytes(copy, prepared.text)
    (run / steps.MARKERS).mkdir(exist_ok=True)
    inputs.write_planned(run, {name: check.files for name, check in prepared.checked.items()})
    for name, check in prepared.checked.items():
        atomic.write_json(run / steps.dataset_folder(name) / "check.json", check.summary())
    return select_steps(plan, snakemake.write_plan(run, plan, say, verify=options.verify), options.only)


def _find_changed_results(run: Path, plan: Plan, only: str | None, failures: Collection[str]) -> bool:
    """Whether results that the report shows are not those that were written; only where it must be written again."""
    if report_is_current(run, plan):
        return False
    todo = find_todo(run, plan, outputs.read_by_report, mend=True)
    changed = [step for step in todo.steps if step.id in todo.changes and step.id not in failures]
    return bool(select_steps(plan, changed, only))


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
    """Write the report of a run folder, unless its report is of the same results and whole.

    One whose pictures are of other images than the results is written all the same, but never counts as current.

    Raises:
        UsageError: the run folder lies in a dataset folder, or is none.
    """
    refuse_dataset_folder(run)
    plan = steps.read_plan(run)
    page = run / REPORT / "index.html"
    if report_is_current(run, plan):
        return page
    from coordinator import report  # matplotlib takes a second to import

    fingerprint = _report_fingerprint(run, plan)
    part = run / f".{REPORT}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    with atomic.naming(part):
        report.write_report(run, part)
    marker = run / REPORT_MARKER
    statefiles.remove(marker)
    if (run / REPORT).is_dir():
        shutil.rmtree(run / REPORT)
    statefiles.remove(run / REPORT)
    part.rename(run / REPORT)
    if replaced := inputs.find_replaced(run, plan):
        statefiles.say(f"{replaced}; the report's pictures may be of another one than its results; run the study again")
        return page
    files = {str(file.relative_to(run)): None for file in sorted((run / REPORT).rglob("*")) if file.is_file()}
    record = outputs.Record({"fingerprint": fingerprint}, {}, outputs.mark_files(run, files))
    outputs.save_record(run, REPORT, record)
    atomic.write_json(marker, {"fingerprint": fingerprint})
    return page


def report_is_current(run: Path, plan: Plan) -> bool:
    """Whether the report is of these results, and its files are as they were written."""
    record = outputs.read_record(run, REPORT)
    if record is None or _read_json(run / REPORT_MARKER) != {"fingerprint": _report_fingerprint(run, plan)}:
        return False
    return not outputs.find_changes(run, REPORT, record, save=False)[1]


def _report_fingerprint(run: Path, plan: Plan) -> str:
    """Digest of all that the report is made from."""
    markers = [_read_json(steps.marker_file(run, step.id)) for step in plan.steps]
    records = [outputs.read_record(run, step.id) for step in plan.steps]
    checks = [_read_json(run / steps.dataset_folder(name) / "check.json") for name in plan.about.get("versions", ())]
    failures = _read_json(run / snakemake.FAILURES)
    results = [record and record.results for record in records]
    return digest([REPORT_VERSION, steps.plan_text(plan), failures, markers, checks, results])


def _print_outcome(
    run: Path, plan: Plan, failures: dict[str, str], checked: dict[str, DatasetCheck], console: Console
) -> int:
    """Print what failed and where the report is; returns the exit code, which networks that learned nothing leave 0."""
    set_aside = {
        f"{name}/{case}": errors[0] for name, check in checked.items() for case, errors in check.set_aside.items()
    }
    failed_cases = _find_failed_cases(run, plan)
    groups = {"cases set aside": set_aside, "cases failed": failed_cases, "steps not done": failures}
    learned_nothing = {network.name: network.reason for network in load_run(run).all_failed_networks}
    for heading, reasons in {**groups, "networks learned nothing and are not compared": learned_nothing}.items():
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


def _read_json(path: Path) -> Any:  # noqa: ANN401 - JSON
    """The content of a state file; None where there is none or it is damaged, which its own reader says."""
    return statefiles.read(path, statefiles.parse_mapping, say=lambda _: None)
