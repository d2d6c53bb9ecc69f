"""Which names may meet in a run folder, and where a run folder may lie; checked before anything is written.

RUN/                               names of ours alone: plan.json, report, logs, datasets, transfer, …
RUN/datasets/<dataset>/            names of datasets alone
RUN/transfer/<target>/<dataset>/   the same
RUN/.steps/<id>.json  logs/<id>.log    ids of steps alone, which begin with names of datasets
"""

import shlex
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from contract import statefiles
from contract.datasets import refuse_dataset_folder
from contract.errors import UsageError
from coordinator.study.file import Study
from coordinator.study.steps import DATASETS, PLAN, TRANSFER, Step, dataset_folder

STATE_ENDINGS = (".json", ".failed", ".changed", ".lock", ".log")
"""Of the files that are called as a step."""
OF_A_DATASET = ("split", "check.json", "1-raw", "2-labels", "3-scores", "4-store", "5-models", "6-predictions")
"""What earlier versions wrote to `RUN/<dataset>`; any of it shows that a folder is a dataset's."""


def refuse_unsafe_places(study: Study) -> None:
    """Refuse a run folder in a dataset or label set, or one in which data, label sets, weights or added tools lie.

    Raises:
        UsageError: one of these; a run folder is written to and removed as a whole, data and weights never are.
    """
    run, names = study.run_folder, dict.fromkeys((*study.content.datasets, *study.content.transfer))
    datasets = [study.data / name for name in names]
    refuse_dataset_folder(run, *datasets)
    refuse_dataset_folder(run / DATASETS, *datasets)
    sets = [
        (study.data / n / entry.labels).resolve() for n in study.content.datasets for entry in study.content.versions
    ]
    if within := [place for place in sets if run.is_relative_to(place)]:
        raise UsageError(f"{run}: a run folder must not lie in a label set ({within[0]}); give another `out`")
    places = [("data", study.data), ("weights", study.weights), *(("data", d.resolve()) for d in datasets)]
    places += [("tools", study.tools_folder)] if study.added else []
    for key, place in [*places, *(("versions", place) for place in sets)]:
        if place.is_relative_to(run):
            raise UsageError(
                f"{run}: a run folder must hold results alone, but `{key}` ({place}) lies in it; "
                "give another `out` or `name` in the study file"
            )


def _parse_places(content: bytes) -> tuple[list[str], list[str]]:
    """The outputs of a plan's steps, and the names of its datasets, whichever version wrote it."""
    plan = statefiles.parse_mapping(content)
    return [str(step["output"]) for step in plan["steps"]], [*plan["cases"]]


def refuse_older_layout(run: Path, *, is_planned_again: bool = False) -> None:
    """Refuse a run folder in which folders of datasets lie beside ours, as earlier versions wrote them.

    Args:
        run: the run folder; one without a plan is fine.
        is_planned_again: whether its plan will be written again now.

    Raises:
        UsageError: says what to move; then results are found at their place again.
    """
    planned = statefiles.read(run / PLAN, _parse_places, say=lambda _: None)
    if planned is None:
        return  # there is none, or whoever reads the plan says what is wrong with it
    outputs, names = planned
    if all(output.startswith((f"{DATASETS}/", f"{TRANSFER}/")) for output in outputs):
        return
    left = [name for name in names if any((run / name / part).exists() for part in OF_A_DATASET)]
    if left:
        folders = " ".join(shlex.quote(str(run / name)) for name in left)
        to = shlex.quote(str(run / DATASETS))
        raise UsageError(
            f"{run}: folders of datasets must lie in {DATASETS}/, but an earlier version wrote {', '.join(left)} "
            f"beside it; move them, then they are found again: mkdir -p {to} && mv {folders} {to}"
        )
    if not is_planned_again:
        raise UsageError(
            f"{run / PLAN}: plan must name the places of results as they are now, but an earlier version wrote it; "
            "`coordinator run` with the study file writes it again"
        )


def refuse_clashes(planned: Iterable[Step]) -> None:
    """Refuse names with which a file about one step would be the folder of files about another.

    Raises:
        UsageError: such names; only a dataset called `transfer` beside one called as a file can lead to them.
    """
    ids = [step.id for step in planned]
    folders = {str(parent): step_id for step_id in ids for parent in PurePosixPath(step_id).parents}
    for step_id in ids:
        for ending in STATE_ENDINGS:
            if (other := folders.get(f"{step_id}{ending}")) is not None:
                raise UsageError(
                    f"datasets: names must keep steps apart, but files about {step_id} and about {other} would lie in "
                    "one place; give one of these datasets another name"
                )


def make_dataset_folder(run: Path, dataset: str) -> Path:
    """Make the folder of a dataset's results."""
    folder = run / dataset_folder(dataset)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
