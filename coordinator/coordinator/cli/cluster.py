"""`coordinator submit`, `cancel` and `cluster`: studies as jobs of a cluster, with the coordinator gone."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from coordinator.cli.runfolder import run_folder
from coordinator.study import steps

if TYPE_CHECKING:
    from coordinator.cli.studyrun import PreparedStudy
    from coordinator.engine.slurm.place import Slurm


@click.group()
def cluster() -> None:
    """Job scripts of a Slurm cluster; a site profile says what is different at yours."""


@cluster.command()
def template() -> None:
    """Print the template of job scripts; save it, edit it, and name it in the site profile."""
    from coordinator.engine.slurm.script import TEMPLATE

    click.echo(TEMPLATE.read_text(encoding="utf-8"), nl=False)


@click.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--runtime", type=click.Choice(["apptainer", "docker", "process"]), help="How tools are started.")
def submit(study: Path, runtime: str | None) -> None:
    """Queue all steps of STUDY that are to do as Slurm jobs, each after those that it needs, and end.

    `coordinator run STUDY --place slurm` collects later: it waits for what still runs, and writes the report.
    """
    from coordinator.cli.studyrun import prepare

    prepared = prepare(study, runtime, lambda line: click.echo(f"warning: {line}", err=True))
    ids = submit_study(prepared, Console(highlight=False))
    if not ids:
        click.echo(f"all {len(prepared.plan.steps)} steps are done; `coordinator run {study}` writes the report")
        return
    collect = f"coordinator run {study} --place slurm{f' --runtime {runtime}' if runtime else ''}"
    click.echo(
        f"{len(ids)} steps are in the queue: jobs {ids[0]} to {ids[-1]}\n"
        f"  coordinator status {study}                how far they are\n"
        f"  {collect}     collects, and writes the report\n"
        f"  coordinator cancel {study}                takes them out of the queue"
    )


@click.command()
@click.argument("study", type=click.Path(path_type=Path))
def cancel(study: Path) -> None:
    """Take all jobs of STUDY out of the queue; what is done stays done."""
    from coordinator.engine.slurm.place import cancel_jobs
    from coordinator.engine.slurm.queue import require_slurm

    require_slurm()
    folder = run_folder(study)
    click.echo(f"{len(cancel_jobs(folder, steps.read_plan(folder)))} jobs were taken out of the queue")


def submit_study(prepared: "PreparedStudy", console: Console) -> list[str]:
    """Put all steps to do into the queue of a cluster; returns the ids of their jobs.

    Raises:
        UsageError: another coordinator runs the study, or Slurm refuses a job.
    """
    from coordinator.cli.studyrun import RunOptions, write_plan
    from coordinator.engine import snakemake
    from coordinator.engine.slurm.jobs import open_jobs

    run, plan, place = prepared.run, prepared.plan, _slurm(prepared)
    ids: dict[str, str] = {}
    with snakemake.lock_run_folder(run):
        todo = write_plan(prepared, place, RunOptions(), console)
        with open_jobs(run, plan, place.profile, place.minutes) as jobs:
            for step in todo:
                ids[step.id] = jobs.start(step, [ids[need] for need in step.needs if need in ids]).id
    return list(ids.values())


def write_scripts(prepared: "PreparedStudy", selected: list[steps.Step]) -> Path:
    """Write the job scripts of steps into the run folder without submitting any; returns their folder.

    Raises:
        UsageError: the site profile or its template is wrong.
    """
    from coordinator.engine.places import CLUSTER_FOLDER
    from coordinator.engine.slurm.jobs import write_script
    from coordinator.engine.slurm.script import JobRequest

    place = _slurm(prepared)
    prepared.run.mkdir(parents=True, exist_ok=True)
    for step in selected:
        minutes = place.minutes.get(step.id, 0.0)
        write_script(JobRequest(prepared.run, prepared.plan.study, step, minutes), place.profile)
    return prepared.run / CLUSTER_FOLDER / "scripts"


def describe_jobs(run: Path, plan: steps.Plan, warn: Callable[[str], None]) -> dict[str, str]:
    """Step -> words for its job in the queue: running or waiting, then place and node or reason, and its log.

    Args:
        run: the run folder.
        plan: of the study.
        warn: told where the queue can't be read.
    """
    from coordinator.engine.places import CLUSTER_FOLDER

    if not (run / CLUSTER_FOLDER).is_dir():
        return {}
    from coordinator.engine.slurm.queue import NoAnswerError
    from coordinator.engine.slurm.waiting import describe_queue

    try:
        return describe_queue(run, plan)
    except NoAnswerError as error:
        warn(f"the queue of Slurm can't be read, so that jobs are not shown: {error}")
        return {}


def _slurm(prepared: "PreparedStudy") -> "Slurm":
    """The place of a study's jobs, whatever its file says of `place`."""
    from coordinator.cli.place import choose_slurm

    return choose_slurm(prepared.study, prepared.plan)
