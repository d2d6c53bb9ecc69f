"""The command line: `coordinator COMMAND`."""

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import click
from rich.console import Console
from rich.table import Column, Table

from contract.datasets import DESCRIPTION, open_dataset, refuse_dataset_folder
from contract.errors import CaseError, ContractError, ExitCode, Stopped, UsageError
from contract.oserrors import describe_os_error
from coordinator.cli import terminal
from coordinator.cli.cluster import cancel, cluster, describe_jobs, submit, write_scripts
from coordinator.cli.dataset import dataset
from coordinator.cli.place import PLACES
from coordinator.cli.runfolder import find_todo, run_folder, step_state
from coordinator.cli.tool import tool
from coordinator.cli.weights import weights
from coordinator.runners.choose import RUNTIMES
from coordinator.runners.environment import fill_environment
from coordinator.study import steps

STUDY = click.argument("study", type=click.Path(path_type=Path))
RUNTIME = click.option(
    "--runtime", type=click.Choice(list(RUNTIMES)), help="How tools are started; default: the study file's."
)

PLACE = click.option("--place", type=click.Choice(PLACES), help="Where steps run; default: the study file's.")


def main() -> None:
    """Run the command line; every expected error is one message and an exit code, never a traceback."""
    try:
        terminal.prepare()
        fill_environment()
        _take_signals()
        code = commands(standalone_mode=False)  # the code that a command gave to `context.exit`
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else ExitCode.DONE)
    except (KeyboardInterrupt, click.exceptions.Abort, Stopped) as error:
        _fail(str(error) or "interrupted; the next run goes on from here", ExitCode.STOPPED)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except UsageError as error:
        _fail(str(error), ExitCode.USAGE)
    except CaseError as error:
        _fail(str(error), ExitCode.CASES_FAILED)
    except ContractError as error:
        _fail(str(error), ExitCode.CONTRACT_BROKEN)
    except (OSError, RuntimeError) as error:
        sentence = _describe_system_error(error)
        if sentence is None:
            raise
        _fail(sentence, ExitCode.USAGE)


def _describe_system_error(error: OSError | RuntimeError) -> str | None:
    """The sentence for what the file system may answer; None for a mistake in the program."""
    if isinstance(error, OSError):
        return describe_os_error(error)
    is_loop = str(error).startswith("Symlink loop from ")  # what `Path.resolve` raises
    return f"{error}; give a path that leads somewhere" if is_loop else None


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
    """Print a commented study file for DATASETS, names of dataset folders.

    For datasets that are there it proposes generators, tolerances and the split, with reasons. For a folder or archive
    that is no dataset folder yet, it says how to make one of it.
    """
    from coordinator.cli.importing import refuse_sources
    from coordinator.study.proposals import propose
    from coordinator.study.template import study_template
    from coordinator.tools.finding import find_tools

    refuse_sources(datasets, Path(data))
    there = [open_dataset(Path(data), name) for name in datasets if (Path(data) / name / DESCRIPTION).is_file()]
    proposals = propose([dataset for dataset in there if dataset.labels], find_tools().values())
    click.echo(study_template(datasets, data, proposals), nl=False)


@commands.command()
@STUDY
@RUNTIME
def plan(study: Path, runtime: str | None) -> None:
    """Check a study; list its steps, their cost, and the smallest gain that it could show.

    STUDY is a study file, or a folder of these: then the size of each and of all together.
    """
    from coordinator.cli.planning import print_plan, print_sizes

    if study.is_dir():
        print_sizes(study, runtime, _warn)
    else:
        print_plan(study, runtime, _warn)


@commands.command()
@STUDY
@RUNTIME
@click.option(
    "--cores", type=click.IntRange(1, 4096), help="CPU cores to use at once; default: the study file's, or all."
)
@PLACE
@click.option("--only", metavar="TEXT", help="Do only steps whose id contains TEXT, and the steps that they need.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="List the steps that would be done, and do nothing; of a cluster, write job scripts or manifests.",
)
@click.option("--verify", is_flag=True, help="Read all results, and do again what no longer has the bytes that it had.")
@click.pass_context
def run(context: click.Context, /, study: Path, runtime: str | None, **options: Any) -> None:  # noqa: ANN401
    """Run a study and write its report; steps that are done already are not done again.

    Results of another size or time than recorded are read; what was deleted or changed is done again.

    \b
    Exit code: 0 all done, 2 the study cannot be run, 3 some cases or steps failed (the report lists them).
    """
    from coordinator.cli.studyrun import RunOptions, prepare, run_study, select_steps

    prepared = prepare(study, runtime, _warn, options["place"])
    if leaks := prepared.plan.about["leaks"]:
        _warn(f"leaks: {len(leaks)} known or possible; `coordinator plan` and the report's section Leaks name them")
    if options.pop("dry_run"):
        todo = find_todo(prepared.run, prepared.plan, _warn, verify=options["verify"])
        selected = select_steps(prepared.plan, todo, options["only"])
        for step in selected:
            click.echo(step.id)
        if folder := write_scripts(prepared, selected, options["place"]):
            click.echo(f"written, and nothing submitted: {folder}", err=True)
        return
    console, again = Console(highlight=False), lambda: prepare(study, runtime, _warn, options["place"])
    context.exit(run_study(prepared, RunOptions(**options), console, again))


@commands.command()
@STUDY
def status(study: Path) -> None:
    """Show which steps of a study are done, running, failed or still to do; of a cluster's jobs also place and node."""
    folder = run_folder(study)
    table = Table(*(Column(heading, overflow="fold") for heading in ("step", "state", "")), box=None)
    counts: dict[str, int] = {}
    plan = steps.read_plan(folder)
    jobs = describe_jobs(folder, plan, _warn)
    for step in plan.steps:
        state, note = step_state(folder, step, jobs)
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
    folder = run_folder(study)
    if step is None:
        for file in sorted(file for file in (folder / "logs").rglob("*.log") if file.is_file()):
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
    from coordinator.study.runfolder import refuse_older_layout

    refuse_dataset_folder(run_folder)
    refuse_older_layout(run_folder)
    context.exit(execute(run_folder.resolve(), step))


@commands.command()
@STUDY
@click.option("--serve", is_flag=True, help="Also serve it, with a viewer of its volumes, to your browser.")
@click.option(
    "--port", default=8765, show_default=True, type=click.IntRange(0, 65535), help="Of --serve; 0: any free one."
)
@click.option(
    "--socket", type=click.Path(path_type=Path), help="Of --serve: a Unix socket, which only you can open, not a port."
)
@click.pass_context
def report(context: click.Context, study: Path, serve: bool, port: int, socket: Path | None) -> None:
    """Write the report of a study from its results, and print where it is."""
    from coordinator.cli.studyrun import write_report

    gives_port = context.get_parameter_source("port") is not click.core.ParameterSource.DEFAULT
    if socket is not None and (gives_port or not serve):
        raise UsageError("--socket: must come with --serve and without --port; leave out one of the two")
    run = run_folder(study)
    click.echo(write_report(run))
    if serve:
        _serve(run, port, socket)


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
@click.option(
    "--missing",
    type=click.Choice(["leave-out", "zero", "fail"]),
    default="leave-out",
    show_default=True,
    help="References without a prediction: name them only, count each as an empty label map, or exit with code 3.",
)
@click.pass_context
def score(  # noqa: PLR0913 - the options of a command
    context: click.Context,
    reference: Path,
    prediction: Path,
    dataset_folder: Path,
    tolerance_mm: float | None,
    empty: str,
    out: Path | None,
    missing: Literal["leave-out", "zero", "fail"],
) -> None:
    """Score the label maps in folder PREDICTION against those in folder REFERENCE.

    Prints Dice and surface Dice of each organ. Cases that dataset.yaml excludes are left out.

    \b
    Exit code: 0 all scored, 2 wrong usage, 3 some cases could not be scored (they are listed).
    """
    from coordinator.cli.labelmaps import score_and_print

    context.exit(score_and_print((reference, prediction), dataset_folder, tolerance_mm, empty, out, missing))


commands.add_command(cluster)
commands.add_command(submit)
commands.add_command(cancel)
commands.add_command(dataset)
commands.add_command(tool)
commands.add_command(weights)


def _serve(run: Path, port: int, socket: Path | None) -> None:
    """Serve a run's report and viewer until interrupted."""
    from coordinator.report.serve import HOST, collect_site, make_server, make_socket_server

    site = collect_site(run)
    with make_socket_server(site, socket) if socket else make_server(site, port) as server:
        if socket:
            click.echo(f"forward a port of your own machine: ssh -L {port}:{socket.absolute()} SERVER   and open")
        shown = port if socket else server.server_address[1]  # type: ignore[index]
        click.echo(f"report: http://{HOST}:{shown}/?token={server.token}")
        click.echo(f"viewer: http://{HOST}:{shown}/viewer/?token={server.token}   (Ctrl-C ends both)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo()


def _take_signals() -> None:
    """Have the stack unwound by signals that ask for an end, but for those that the caller has ignored (`nohup`)."""
    signal.signal(signal.SIGTERM, _stop)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _stop)
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _stop(signum: int, frame: FrameType | None) -> None:
    """Unwind the stack on SIGTERM; a run stops its steps on the way."""
    raise Stopped


def _warn(line: str) -> None:
    click.echo(f"warning: {line}", err=True)


def _fail(message: str, code: ExitCode) -> None:
    click.echo(f"error: {message}", err=True)
    sys.exit(code)
