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
    """Jobs of a cluster; a site profile says what is different at yours."""


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
    """Take all jobs of STUDY out of Slurm's queue, or delete its Jobs on Kubernetes; what is done stays done."""
    from coordinator.runners.kubernetes.settings import FOLDER

    folder = run_folder(study)
    if (folder / FOLDER).is_dir():
        from coordinator.engine import snakemake
        from coordinator.engine.kubernetes import delete_jobs

        with snakemake.lock_run_folder(folder):  # a coordinator that waits for them would make them again
            click.echo(f"{len(delete_jobs(folder))} Jobs were deleted")
        return
    from coordinator.engine.slurm.place import cancel_jobs
    from coordinator.engine.slurm.queue import require_slurm

    require_slurm()
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


def write_scripts(prepared: "PreparedStudy", selected: list[steps.Step], place: str | None) -> Path | None:
    """Write the job scripts or manifests of steps into the run folder without submitting any.

    Args:
        prepared: the study.
        selected: steps to do.
        place: local, slurm or kubernetes; the study file's when None.

    Returns:
        Their folder; None for this machine, which has none.

    Raises:
        UsageError: the site profile or its template is wrong.
    """
    match place or prepared.study.content.run.place:
        case "slurm":
            return _write_slurm_scripts(prepared, selected)
        case "kubernetes":
            from coordinator.cli.place import choose_kubernetes

            kubernetes = choose_kubernetes(prepared.study, prepared.plan)
            return kubernetes.write_manifests(prepared.run, prepared.plan, selected)
    return None


def _write_slurm_scripts(prepared: "PreparedStudy", selected: list[steps.Step]) -> Path:
    from coordinator.engine.places import CLUSTER_FOLDER
    from coordinator.engine.slurm.jobs import plan_jobs, write_script

    place = _slurm(prepared)
    prepared.run.mkdir(parents=True, exist_ok=True)
    for step in selected:
        minutes = place.minutes.get(step.id, 0.0)
        own, shards = plan_jobs(prepared.run, prepared.plan.study, step, minutes, place.profile)
        for request in (own, shards) if shards.shards > 1 else (own,):
            write_script(request, place.profile)
    return prepared.run / CLUSTER_FOLDER / "scripts"


def describe_jobs(run: Path, plan: steps.Plan, warn: Callable[[str], None]) -> dict[str, str]:
    """Step -> words for its job in the queue: running or waiting, then place and node or reason, and its log.

    Args:
        run: the run folder.
        plan: of the study.
        warn: told where the queue can't be read.
    """
    from coordinator.engine.places import CLUSTER_FOLDER
    from coordinator.runners.kubernetes.settings import FOLDER

    if (run / FOLDER).is_dir():
        return _describe_pods(run, warn)
    if not (run / CLUSTER_FOLDER).is_dir():
        return {}
    from coordinator.engine.slurm.queue import NoAnswerError
    from coordinator.engine.slurm.waiting import describe_queue

    try:
        return describe_queue(run, plan)
    except NoAnswerError as error:
        warn(f"the queue of Slurm can't be read, so that jobs are not shown: {error}")
        return {}


def _describe_pods(run: Path, warn: Callable[[str], None]) -> dict[str, str]:
    """Step -> words for its Job on Kubernetes."""
    from contract.errors import UsageError
    from coordinator.engine import kubernetes
    from coordinator.runners.kubernetes.cluster import NoAnswerError, RefusedError

    try:
        return kubernetes.describe_jobs(run)
    except (NoAnswerError, RefusedError, UsageError) as error:
        warn(f"Kubernetes can't be asked, so that Jobs are not shown: {error}")
        return {}


def _slurm(prepared: "PreparedStudy") -> "Slurm":
    """The place of a study's jobs, whatever its file says of `place`."""
    from coordinator.cli.place import choose_slurm

    return choose_slurm(prepared.study, prepared.plan)
