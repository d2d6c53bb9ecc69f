"""What a plan is made of: steps, and the plan file that the workflow engine and `engine.execute` read.

A step is done when its marker `.steps/<id>.json` holds its fingerprint and its output is there. The marker is written
last, with one rename. So after a crash at any moment, a step either counts as done and is whole, or is done again.

`engine.execute` starts once for each step, and a study can have thousands. So only small modules are imported here, and
records are named tuples: importing dataclasses alone takes longer than the rest of a step without work.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from contract import statefiles
from contract.errors import UsageError

PLAN = "plan.json"
MARKERS = ".steps"
DATASETS = "datasets"
TRANSFER = "transfer"
"""Folders of the run folder in which only names of datasets stand; beside them stand only names of ours."""
FOLDS = "folds"
"""The folder of a dataset's results that holds those of each fold, where a study has folds."""
ADDED_TOOLS = "added_tools"
"""Of `about`: label version -> what is kept of the foreign image that makes it."""
BASE = "base"
"""The label version that holds the dataset's own labels; the reference labels, unless the study names others."""
NO_PRETRAIN = "no-pretrain"
"""The name of a network that begins from scratch where others begin from trained weights."""


def dataset_folder(dataset: str) -> str:
    """Where the results of a dataset lie, relative to the run folder."""
    return f"{DATASETS}/{dataset}"


def fold_folder(dataset: str, fold: int) -> str:
    """Where the results of networks lie that are tested on one fold of a dataset, relative to the run folder."""
    return f"{dataset_folder(dataset)}/{FOLDS}/{fold}"


def network_folders(dataset: str, splits: int) -> list[str]:
    """Where the networks of each of a dataset's splits lie, relative to the run folder; several splits are folds."""
    return [dataset_folder(dataset)] if splits == 1 else [fold_folder(dataset, number) for number in range(splits)]


def transfer_folder(target: str, dataset: str) -> str:
    """Where the results of networks lie that are fine-tuned on `target`, from those of a dataset."""
    return f"{TRANSFER}/{target}/{dataset}"


def agreement_file(dataset: str, which: str = "") -> str:
    """Where it lies how far label versions of a dataset agree with each other, relative to the run folder.

    Args:
        dataset: its name.
        which: of several such files; empty for that of all versions.
    """
    return f"{dataset_folder(dataset)}/3-agreement{f'-{which}' if which else ''}.parquet"


def name_output(place: str) -> str:
    """What ids of steps and fingerprints call a place in the run folder: without `datasets/`."""
    return place.removeprefix(f"{DATASETS}/")


class Step(NamedTuple):
    """One piece of work with one output, or with several that are made together.

    Attributes:
        id: readable and unique, such as "word/1-raw/medsam-lite".
        kind: "tool", or a kind that the coordinator does itself: labels, remap, join, mix, score,
            score-predictions, agreement, nothing.
        output: file or folder, relative to the run folder, such as "datasets/word/1-raw/medsam-lite".
        needs: ids of the steps whose outputs it reads.
        dataset: name.
        label_version: name.
        fingerprint: digest of everything that the output depends on.
        tool: name, for kind "tool".
        runtime: docker, apptainer or process, for kind "tool".
        arguments: of the tool's command line.
        inputs: name below /in -> folder relative to the run folder.
        shows_labels: whether the tool may see the reference labels.
        cpus: threads that it uses.
        memory_mb: memory that it needs.
        gpus: GPUs that it needs.
        shared: whether its output is kept beside the run folders, for every study that needs the same.
        cases: number of cases (of training: epochs), for progress and cost.
        settings: of the kinds that the coordinator does itself.
        also: further outputs, in the folder of `output` or below it.
        image: id of the image, where the tool is one of others.
    """

    id: str
    kind: str
    output: str
    dataset: str
    label_version: str
    fingerprint: str
    needs: tuple[str, ...] = ()
    tool: str | None = None
    runtime: str | None = None
    arguments: tuple[str, ...] = ()
    inputs: Mapping[str, str] = {}
    shows_labels: bool = False
    cpus: int = 1
    memory_mb: int = 500
    gpus: int = 0
    shared: bool = False
    cases: int = 0
    settings: Mapping[str, Any] = {}
    also: tuple[str, ...] = ()
    image: str | None = None


class Plan(NamedTuple):
    """A study turned into steps.

    Attributes:
        study: its name.
        data: folder of dataset folders.
        weights: folder of trained weights; None where there is none.
        steps: in an order in which they could be done.
        about: what the report needs: reference, label versions and the cases that they cover, label tables, common
            labels, split or folds, marks, seeds, noise_seeds, mix; and what is kept of added tools.
    """

    study: str
    data: str
    weights: str | None
    steps: tuple[Step, ...]
    about: Mapping[str, Any]

    def __repr__(self) -> str:
        """A line for notebooks, which all steps would flood."""
        return f"<Plan {self.study}: {len(self.steps)} steps, {sum(step.gpus > 0 for step in self.steps)} with a GPU>"

    def step(self, step_id: str) -> Step:
        """A step by id.

        Raises:
            UsageError: there is none.
        """
        for step in self.steps:
            if step.id == step_id:
                return step
        raise UsageError(f"{self.study}: the plan has no step {step_id!r}; `coordinator plan` lists its steps")


class Seeds(NamedTuple):
    """The seeds of all networks of a study.

    Attributes:
        reference: the label version that is the truth.
        all: the seeds of every network.
        noise: further seeds of those on the reference, which show how much a network varies with the seed alone.
    """

    reference: str
    all: tuple[int, ...] = ()
    noise: tuple[int, ...] = ()

    def of(self, network: str) -> tuple[int, ...]:
        """The seeds of a network, by the label version that it was trained on first; or of `NO_PRETRAIN`."""
        return (*self.all, *self.noise) if network == self.reference else self.all


def read_seeds(about: Mapping[str, Any]) -> Seeds:
    """The seeds of the networks of a plan; none where nothing is trained."""
    reference = about.get("reference", BASE)
    if "split" not in about and FOLDS not in about:
        return Seeds(reference)
    return Seeds(reference, tuple(about.get("seeds", ())), tuple(about.get("noise_seeds", ())))


def read_splits(about: Mapping[str, Any], dataset: str) -> dict[str, Mapping[str, Any]]:
    """The split of a dataset, or that of each of its folds; none where nothing is trained.

    Returns:
        Folder of the networks, relative to the run folder -> {"train": cases, "holdout": cases}.
    """
    split = about.get("split", {}).get(dataset)
    splits = about.get(FOLDS, {}).get(dataset) or ([split] if split else [])
    return dict(zip(network_folders(dataset, len(splits)), splits, strict=True))


def plan_text(plan: Plan) -> str:
    """The content of `plan.json`."""
    content = {**plan._asdict(), **plan.about, "steps": [step._asdict() for step in plan.steps]}
    del content["about"]
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def read_plan(run: Path, only: str | None = None) -> Plan:
    """Read the plan of a run folder.

    Args:
        run: the run folder.
        only: id of the one step that is wanted; of 20,000 steps the others would take a quarter of a second.

    Raises:
        UsageError: there is none, or it is damaged.
    """
    return statefiles.require(
        run / PLAN, lambda text: parse_plan(text, only), "`coordinator run STUDY` writes it again"
    )


def parse_plan(text: bytes, only: str | None = None) -> Plan:
    """Parse the content of `plan.json`, with all steps or only one."""
    content = statefiles.parse_mapping(text)
    records = content.pop("steps")
    plan = Plan(
        study=content.pop("study"),
        data=content.pop("data"),
        weights=content.pop("weights"),
        steps=tuple(parse_step(record) for record in records if only is None or record["id"] == only),
        about=content,
    )
    for name in {"versions", "labels", "common_labels", "cases"} & content.keys():
        if not isinstance(content[name], dict):
            raise TypeError(f"its {name!r} is a {type(content[name]).__name__}")
    return plan


def parse_step(record: Mapping[str, Any]) -> Step:
    """Make a step of its record in `plan.json`."""
    for name in ("id", "kind", "output", "dataset", "label_version", "fingerprint"):
        if not isinstance(record[name], str):
            raise TypeError(f"the {name} of a step is a {type(record[name]).__name__}")
    return Step(**{**record, **{name: tuple(record.get(name, ())) for name in ("needs", "arguments", "also")}})


def marker_file(run: Path, step_id: str) -> Path:
    """The file that is there when a step is done; it holds the step's fingerprint."""
    return run / MARKERS / f"{step_id}.json"


def failure_file(run: Path, step_id: str) -> Path:
    """The file with the reason why a step failed last."""
    return run / MARKERS / f"{step_id}.failed"


def lock_file(run: Path, step_id: str) -> Path:
    """The file that a step locks while it runs."""
    return run / MARKERS / f"{step_id}.lock"


def state_files(run: Path, ending: str) -> list[Path]:
    """The files about steps that end so; a dataset whose name ends so has a folder there."""
    return [file for file in (run / MARKERS).rglob(f"*{ending}") if file.is_file()]


def log_file(run: Path, step_id: str) -> Path:
    """The file with what a step printed."""
    return run / "logs" / f"{step_id}.log"


def is_done(run: Path, step: Step) -> bool:
    """Whether all outputs of a step are there and have the fingerprint of this plan."""
    marker = read_marker(run, step.id)
    outputs_exist = all((run / output).exists() for output in (step.output, *step.also))
    return bool(marker) and marker.get("fingerprint") == step.fingerprint and outputs_exist


def read_marker(run: Path, step_id: str, say: Callable[[str], None] = lambda _: None) -> Mapping[str, Any]:
    """The marker of a step; empty where there is none, or where it is damaged, which `say` is told."""
    return statefiles.read(marker_file(run, step_id), statefiles.parse_mapping, say) or {}


def read_failure(run: Path, step_id: str) -> str | None:
    """Why a step failed last; None where it did not, or where that is not recorded."""
    text = statefiles.read(failure_file(run, step_id), lambda content: content.decode("utf-8", errors="replace"))
    return text.strip() if text and text.strip() else None


def shared_folder(run: Path, step: Step) -> Path:
    """Where a shared step's output is kept, under its fingerprint; the run folder has a link to it."""
    return run.parent / ".shared" / step.fingerprint


def part_folder(run: Path, step: Step) -> Path:
    """The hidden folder in which a step works until its output is whole."""
    output = run / step.output
    return output.with_name(f".{output.name}.part")


def shards_folder(run: Path, step: Step) -> Path:
    """The hidden folder in which the shards of a step work, each in a folder of its own."""
    output = run / step.output
    return output.with_name(f".{output.name}.shards")
