"""The command line: `coordinator COMMAND`."""

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from contract.errors import CaseError, ContractError, ExitCode, Stopped, UsageError
from coordinator.cli.dataset import dataset
from coordinator.cli.tool import tool
from coordinator.cli.weights import weights
from coordinator.engine import locks
from coordinator.study import steps

STUDY = click.argument("study", type=click.Path(path_type=Path))
RUNTIME = click.option(
    "--runtime", type=click.Choice(["docker", "process"]), help="How tools are started; default: the study file's."
)


def main() -> None:
    """Run the command line; every expected error is one message and an exit code, never a traceback."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        code = commands(standalone_mode=False)  # the code that a command gave to `context.exit`
        sys.exit(code if isinstance(code, int) else ExitCode.DONE)
    except (click.exceptions.Abort, Stopped):
        _fail("interrupted; the next run goes on from here", ExitCode.STOPPED)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except UsageError as error:
        _fail(str(error), ExitCode.USAGE)
    except CaseError as error:
        _fail(str(error), ExitCode.CASES_FAILED)
    except ContractError as error:
        _fail(str(error), ExitCode.CONTRACT_BROKEN)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="label-quality-coordinator", prog_name="coordinator")
def commands() -> None:
    """Is it worth improving your labels?

    Makes pseudo-labels for a CT dataset, scores them against its reference labels, trains the same network on each
    label version, and reports how much better labels improve the network.

    STUDY is a study file; for status, logs and report it may also be a run folder.

    \b
    Start:  coordinator init my_dataset > study.yaml
            coordinator run study.yaml
    """


@commands.command()
@click.argument("datasets", nargs=-1, required=True)
@click.option("--data", default="data", show_default=True, help="Folder of dataset folders.")
def init(datasets: tuple[str, ...], data: str) -> None:
    """Print a commented study file for DATASETS, names of dataset folders."""
    from coordinator.study.template import study_template

    click.echo(study_template(datasets, data), nl=False)


@commands.command()
@STUDY
@RUNTIME
def plan(study: Path, runtime: str | None) -> None:
    """Check a study; list its steps, their cost, and the smallest gain that it could show."""
    from coordinator.cli.studyrun import prepare
    from coordinator.study import cost
    from coordinator.verdict.testplan import plan_tests

    prepared = prepare(study, runtime, _warn)
    todo = _find_todo(prepared.run, prepared.plan)
    undone = {step.id for step in todo}
    table = Table("step", "kind", "cases", "cores", "GPU", "done", box=None)
    for step in prepared.plan.steps:
        kind = f"{step.tool} ({step.runtime})" if step.tool else step.kind
        done = "" if step.id in undone else "yes"
        table.add_row(step.id, kind, str(step.cases), str(step.cpus), str(step.gpus or ""), done)
    console = Console()
    console.print(table)
    console.print(f"{len(todo)} of {len(prepared.plan.steps)} steps to do; run folder: {prepared.run}", soft_wrap=True)
    content, versions = prepared.study.content, len(prepared.study.generators)
    tests = plan_tests(content.verdict.alpha, [versions] * len(content.datasets), len(content.transfer))
    for line in cost.describe_cost(prepared.study, prepared.plan, todo, tests.confidence):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


@commands.command()
@STUDY
@RUNTIME
@click.option("--cores", type=click.IntRange(1), help="CPU cores to use at once; default: the study file's, or all.")
@click.option("--only", metavar="TEXT", help="Do only steps whose id contains TEXT, and the steps that they need.")
@click.option("--dry-run", is_flag=True, help="List the steps that would be done, and do nothing.")
@click.option("--verify", is_flag=True, help="Read all results, and do again what no longer has the bytes that it had.")
@click.pass_context
def run(context: click.Context, /, study: Path, runtime: str | None, **options: Any) -> None:  # noqa: ANN401
    """Run a study and write its report; steps that are done already are not done again.

    Results of another size or time than recorded are read; what was deleted or changed is done again.

    \b
    Exit code: 0 all done, 2 the study cannot be run, 3 some cases or steps failed (the report lists them).
    """
    from coordinator.cli.studyrun import RunOptions, prepare, run_study, select_steps

    prepared = prepare(study, runtime, _warn)
    if options.pop("dry_run"):
        todo = _find_todo(prepared.run, prepared.plan, verify=options["verify"])
        for step in select_steps(prepared.plan, todo, options["only"]):
            click.echo(step.id)
        return
    console = Console(highlight=False)
    context.exit(run_study(prepared, RunOptions(**options), console, lambda: prepare(study, runtime, _warn)))


@commands.command()
@STUDY
def status(study: Path) -> None:
    """Show which steps of a study are done, running, failed or still to do."""
    folder = _run_folder(study)
    table = Table("step", "state", "", box=None)
    counts: dict[str, int] = {}
    for step in steps.read_plan(folder).steps:
        state, note = _step_state(folder, step)
        counts[state] = counts.get(state, 0) + 1
        table.add_row(step.id, state, note)
    console = Console()
    console.print(table)
    console.print(", ".join(f"{count} {state}" for state, count in counts.items()))


@commands.command()
@STUDY
@click.argument("step", required=False)
def logs(study: Path, step: str | None) -> None:
    """Print the log of STEP; without STEP, list the steps that have a log."""
    folder = _run_folder(study)
    if step is None:
        for file in sorted((folder / "logs").rglob("*.log")):
            click.echo(str(file.relative_to(folder / "logs").with_suffix("")))
        return
    file = steps.log_file(folder, step)
    if not file.is_file():
        raise UsageError(f"{file}: step {step!r} has no log; `coordinator logs {study}` lists those that have")
    click.echo(file.read_text(encoding="utf-8", errors="replace"), nl=False)


@commands.command("exec-step")
@click.argument("run_folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("step")
@click.pass_context
def exec_step(context: click.Context, run_folder: Path, step: str) -> None:
    """Do STEP of the plan in RUN_FOLDER, as the workflow engine does; to try a single step by hand."""
    from coordinator.engine.execute import execute

    context.exit(execute(run_folder.resolve(), step))


@commands.command()
@STUDY
@click.option("--serve", is_flag=True, help="Also serve it, with a viewer of its volumes, to this machine's browser.")
@click.option(
    "--port", default=8765, show_default=True, type=click.IntRange(0, 65535), help="Of --serve; 0: any free one."
)
def report(study: Path, serve: bool, port: int) -> None:
    """Write the report of a study from its results, and print where it is."""
    from coordinator.cli.studyrun import write_report

    run = _run_folder(study)
    click.echo(write_report(run))
    if serve:
        _serve(run, port)


@commands.command()
@click.argument("mapping", type=click.Path(path_type=Path))
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--from", "tool_name", required=True, metavar="TOOL[-VARIANT]", help="Tool that made the labels in SOURCE."
)
@click.option(
    "--to",
    "dataset_folder",
    required=True,
    type=click.Path(path_type=Path),
    help="Dataset folder; TARGET gets its label ids.",
)
def remap(mapping: Path, source: Path, target: Path, tool_name: str, dataset_folder: Path) -> None:
    """Remap every label map in folder SOURCE into folder TARGET.

    MAPPING is the yaml file of a label mapping: it names the source organs of each target organ.
    """
    from coordinator.cli.labelmaps import remap_folder

    click.echo(remap_folder(mapping, source, target, tool_name, dataset_folder))


@commands.command()
@click.argument("reference", type=click.Path(path_type=Path))
@click.argument("prediction", type=click.Path(path_type=Path))
@click.option(
    "--dataset",
    "dataset_folder",
    required=True,
    type=click.Path(path_type=Path),
    help="Dataset folder; names the organs.",
)
@click.option(
    "--tolerance-mm", type=click.FloatRange(0, 100, min_open=True), help="Of all organs; default: the convention's."
)
@click.option("--empty", default="flare21", show_default=True, help="Convention for empty masks and tolerances.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Also write the scores of each case to this file (.parquet or .csv)."
)
def score(
    reference: Path, prediction: Path, dataset_folder: Path, tolerance_mm: float | None, empty: str, out: Path | None
) -> None:
    """Score the label maps in folder PREDICTION against those in folder REFERENCE.

    Prints Dice and surface Dice of each organ.
    """
    from coordinator.cli.labelmaps import score_and_print

    score_and_print((reference, prediction), dataset_folder, tolerance_mm, empty, out)


commands.add_command(dataset)
commands.add_command(tool)
commands.add_command(weights)


def _find_todo(run: Path, plan: steps.Plan, *, verify: bool = False) -> list[steps.Step]:
    """The steps that are not done; files that are no longer as they were written are named."""
    from coordinator.engine import outputs
    from coordinator.engine.todo import find_todo

    todo = find_todo(run, plan, outputs.always if verify else outputs.never)
    for line in todo.lines():
        _warn(line)
    return list(todo.steps)


def _run_folder(study: Path) -> Path:
    """The run folder of a study file, or the path itself where it is a run folder.

    Raises:
        UsageError: the study was never run.
    """
    from coordinator.study.file import load_study

    folder = study if study.is_dir() else load_study(study).run_folder
    if not (folder / steps.PLAN).is_file():
        raise UsageError(f"{folder}: has no {steps.PLAN}, so this study was not run yet; use `coordinator run {study}`")
    return folder.resolve()


def _serve(run: Path, port: int) -> None:
    """Serve a run's report and viewer until interrupted."""
    from coordinator.report.serve import HOST, collect_site, make_server

    with make_server(collect_site(run), port) as server:
        click.echo(f"report: http://{HOST}:{server.server_port}/")
        click.echo(f"viewer: http://{HOST}:{server.server_port}/viewer/   (Ctrl-C ends both)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo()


def _step_state(folder: Path, step: steps.Step) -> tuple[str, str]:
    """Whether a step is done, running, failed or to do, and why it failed."""
    from coordinator.engine import outputs

    if steps.is_done(folder, step):
        record = outputs.read_record(folder, step.id)
        changes = outputs.find_changes(folder, step.id, record, save=False)[1] if record else {}
        return ("changed", "; ".join(f"{f}: {why}" for f, why in changes.items())) if changes else ("done", "")
    lock = steps.lock_file(folder, step.id)
    if lock.is_file() and locks.lock_holder(lock) is not None:
        return "running", ""
    failure = steps.failure_file(folder, step.id)
    if failure.is_file():
        return "failed", failure.read_text(encoding="utf-8").strip()
    return "to do", ""


def _stop(signum: int, frame: FrameType | None) -> None:
    """Unwind the stack on SIGTERM; a run stops its steps on the way."""
    raise Stopped


def _warn(line: str) -> None:
    click.echo(f"warning: {line}", err=True)


def _fail(message: str, code: ExitCode) -> None:
    click.echo(f"error: {message}", err=True)
    sys.exit(code)
