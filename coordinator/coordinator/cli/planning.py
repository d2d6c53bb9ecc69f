"""What `coordinator plan` prints of a study, and of a folder of studies."""

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from contract.errors import UsageError
from coordinator.cli.runfolder import find_todo
from coordinator.cli.studyrun import PreparedStudy, describe_added, describe_leaks, prepare
from coordinator.study import cost
from coordinator.study.steps import DATASETS, Step
from coordinator.verdict.sentences import describe_tests
from coordinator.verdict.testplan import plan_tests


@dataclass(frozen=True, slots=True)
class Size:
    """How large a study is, whatever of it is done.

    Attributes:
        steps: of all kinds.
        generator_steps: of tools that make label versions.
        trainings: networks that begin from scratch, on label versions.
        fine_tunings: networks on target datasets, those from scratch among them.
        gpu_hours: of all steps, on one GPU.
        disk_bytes: of all results.
    """

    steps: int = 0
    generator_steps: int = 0
    trainings: int = 0
    fine_tunings: int = 0
    gpu_hours: float = 0.0
    disk_bytes: float = 0.0


def print_plan(file: Path, runtime: str | None, warn: Callable[[str], None]) -> None:
    """Print the steps of a study, their cost, and what it could show.

    Raises:
        UsageError: the study cannot be run.
    """
    prepared = prepare(file, runtime, warn)
    todo = find_todo(prepared.run, prepared.plan, warn)
    undone = {step.id for step in todo}
    table = Table("step", "kind", "cases", "cores", "GPU", "done", box=None)
    for step in prepared.plan.steps:
        kind = f"{step.tool} ({step.runtime})" if step.tool else step.kind
        done = "" if step.id in undone else "yes"
        table.add_row(step.id, kind, str(step.cases), str(step.cpus), str(step.gpus or ""), done)
    console = Console()
    console.print(table)
    for line in (*describe_added(prepared.study), *describe_leaks(prepared.plan)):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    console.print(f"{len(todo)} of {len(prepared.plan.steps)} steps to do; run folder: {prepared.run}", soft_wrap=True)
    for line in _describe_study(prepared, todo):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def print_sizes(folder: Path, runtime: str | None, warn: Callable[[str], None]) -> None:
    """Print how large each study of a folder is, and all together.

    Args:
        folder: holds study files, `*.yaml`.
        runtime: docker, apptainer or process; the study files' when None.
        warn: called with a line for each problem of the data.

    Raises:
        UsageError: the folder holds no study, or some cannot be run; the sizes of the others are printed first.
    """
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise UsageError(f"{folder}: must be a study file, or a folder that holds some (*.yaml), but holds none")
    sizes: dict[str, Size] = {}
    problems: dict[str, str] = {}
    for file in files:
        try:
            sizes[file.stem] = measure(prepare(file, runtime, _name_file(file, warn)))
        except UsageError as error:
            problems[file.name] = str(error)
    table = Table(box=None)
    table.add_column("study", min_width=max(map(len, [*sizes, "all"])))  # a narrow terminal wraps the other headings
    for column in ("steps", "generator steps", "trained", "fine-tuned", "GPU hours", "disk"):
        table.add_column(column, justify="right")
    for name, size in (*sizes.items(), ("all", _add(list(sizes.values())))):
        hours, disk = f"{size.gpu_hours:,.0f}", cost.format_bytes(size.disk_bytes)
        counts = (size.steps, size.generator_steps, size.trainings, size.fine_tunings)
        table.add_row(name, *map(str, counts), hours, disk)
    console = Console()
    console.print(table)
    console.print(
        "GPU hours are those of all steps on one GPU, whether done or not; `coordinator plan FILE` says what of it was "
        "measured and what is assumed",
        soft_wrap=True,
    )
    if problems:
        listed = "".join(f"\n  {name}: {problem}" for name, problem in problems.items())
        raise UsageError(
            f"{folder}: {len(problems)} of {len(files)} studies cannot be planned, and are in no sum:{listed}"
        )


def measure(prepared: PreparedStudy) -> Size:
    """How large a study is."""
    study, plan = prepared.study, prepared.plan
    made = {generator.tool.name for generator in study.generators}
    networks = [step for step in plan.steps if cost.trainer_step_name(study, step) == "train"]
    in_domain = sum(step.output.startswith(f"{DATASETS}/") for step in networks)
    return Size(
        steps=len(plan.steps),
        generator_steps=sum(step.tool in made for step in plan.steps),
        trainings=in_domain,
        fine_tunings=len(networks) - in_domain,
        gpu_hours=cost.estimate_gpu_seconds(study, plan.steps).seconds / 3600,
        disk_bytes=cost.estimate_disk_bytes(study, plan),
    )


def _name_file(file: Path, warn: Callable[[str], None]) -> Callable[[str], None]:
    """Begin each warning with the study file that it is about."""
    return lambda line: warn(f"{file.name}: {line}")


def _add(sizes: Sequence[Size]) -> Size:
    return Size(*(sum(values) for values in zip(*map(astuple, sizes), strict=True))) if sizes else Size()


def _describe_study(prepared: PreparedStudy, todo: Sequence[Step]) -> list[str]:
    """The cost of the steps to do, the smallest gains that would show, and which tests decide."""
    content, versions = prepared.study.content, len(prepared.study.versions)
    tests = plan_tests(
        content.verdict.alpha,
        [versions] * len(content.datasets),
        len(content.transfer),
        len(content.mix.by) if content.mix else 0,
    )
    lines = cost.describe_cost(prepared.study, prepared.plan, todo, tests.confidence)
    return [*lines, f"{describe_tests(tests)}."] if content.train is not None else lines
