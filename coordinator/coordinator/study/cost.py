"""What a study will cost before it runs: GPU hours and disk.

Times are those that earlier runs in the same folder measured, else assumed; each sentence names which of the two.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from contract.datasets import SUFFIX
from contract.records import read_run
from contract.volumes import read_header
from coordinator.study.detectable import describe_detectable_gains
from coordinator.study.file import Study, trainer_options
from coordinator.study.steps import (
    DATASETS,
    FOLDS,
    Plan,
    Step,
    dataset_folder,
)

ASSUMED_STEP_S = 0.13
"""Of two patches of 128 x 128 x 128: nnU-Net's 9 hours for 1000 epochs on an A100 with 40 GB (Isensee et al. 2024)."""
ASSUMED_CASE_S = 60.0
"""Of one case through a generator, or through a trained network, on one recent GPU."""
MODEL_BYTES = 130e6
"""Of a network of the trainer's default size: 31 million parameters."""
COMPRESSED = 1 / 50
"""Bytes of a voxel in a compressed label map; real ones take 1/67, noisy ones more."""
PREPARED_OPTIONS = ("patch", "patch-voxels", "filters")
PACE_OPTIONS = (*PREPARED_OPTIONS, "batch-size")
"""Options that the time of a training step depends on; the first ones are of the step that prepares the images."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds that something takes, and whether that was measured."""

    seconds: float
    measured: bool

    def describe(self, unit: str) -> str:
        """Say it in words, such as "0.13 s a step (assumed)"."""
        return f"{self.seconds:.2g} s {unit} ({'measured' if self.measured else 'assumed'})"


def describe_cost(study: Study, plan: Plan, todo: Sequence[Step], confidence: float) -> list[str]:
    """Say in sentences what the steps that are still to do will cost, and what the whole study could show.

    Args:
        study: with resolved names.
        plan: all its steps.
        todo: those that are not done.
        confidence: of the intervals that will decide; it is higher with more comparisons.
    """
    lines = [_describe_hours(study, todo)] if any(step.gpus for step in todo) else ["GPU hours: none"]
    lines.append(f"disk: about {format_bytes(estimate_disk_bytes(study, plan))} for everything")
    if study.content.train is not None:
        lines += describe_detectable_gains(study, plan, study.content.train, confidence)
    return lines


@dataclass(frozen=True, slots=True)
class GpuTime:
    """Seconds on one GPU, and the paces that they follow from.

    Attributes:
        seconds: of all steps.
        networks: number of networks that are trained, those of generators among them.
        step: of training.
        cases: tool -> of one case.
    """

    seconds: float
    networks: int
    step: Pace
    cases: Mapping[str, Pace]


@dataclass(slots=True)
class _Estimates:
    """What earlier runs in the same folder say of the time of a study's steps.

    Attributes:
        study: the study.
        records: of earlier steps that ran on a GPU.
        step: the pace of training.
        cases: tool -> pace of one case, of the tools that were asked for.
    """

    study: Study
    records: Sequence[Mapping[str, Any]]
    step: Pace
    cases: dict[str, Pace]

    @classmethod
    def of(cls, study: Study) -> "_Estimates":
        """Read the records of earlier runs."""
        records = list(_read_records(study.run_folder.parent))
        pace = Pace(ASSUMED_STEP_S, measured=False)
        if study.content.train and study.trainer:
            pace = step_time(
                records, study.trainer.manifest.complete_options(dict(trainer_options(study.content.train)))
            )
        return cls(study, records, pace, {})

    def training_seconds(self, step: Step) -> float | None:
        """Seconds of a step that trains a network; None for another step."""
        train = self.study.content.train
        if train and trainer_step_name(self.study, step) == "train":
            return step.cases * train.batches_per_epoch * self.step.seconds
        learned = _count_learned_batches(self.study, step)
        return learned * ASSUMED_STEP_S if learned else None

    def case_seconds(self, step: Step) -> float:
        """Seconds of a step that takes as long as its cases."""
        tool = step.tool or ""
        if tool not in self.cases:
            self.cases[tool] = case_time(self.records, tool)
        return step.cases * self.cases[tool].seconds


def estimate_gpu_seconds(study: Study, steps: Sequence[Step]) -> GpuTime:
    """How long steps will take on one GPU: training of networks, here and in generators, and all else by case."""
    estimates = _Estimates.of(study)
    seconds, networks = 0.0, 0
    for step in (step for step in steps if step.gpus):
        training = estimates.training_seconds(step)
        networks += training is not None
        seconds += estimates.case_seconds(step) if training is None else training
    return GpuTime(seconds, networks, estimates.step, estimates.cases)


def estimate_minutes(study: Study, plan: Plan) -> dict[str, float]:
    """Step -> minutes that it will take, for time limits; one that can use a GPU is assumed to have it."""
    estimates, minutes = _Estimates.of(study), {}
    for step in plan.steps:
        training = estimates.training_seconds(step)
        minutes[step.id] = (estimates.case_seconds(step) if training is None else training) / 60
    return minutes


def _count_learned_batches(study: Study, step: Step) -> int:
    """How many batches a generator trains a network on in this step; 0 where it trains none, or does not say."""
    generator = next((g for g in study.generators if g.name == step.label_version and g.tool.name == step.tool), None)
    if generator is None or generator.tool.manifest.trains_on_labels is None:
        return 0
    epochs, batches = (generator.options.get(name) for name in ("epochs", "iterations-per-epoch"))
    return epochs * batches if isinstance(epochs, int) and isinstance(batches, int) else 0


def _describe_hours(study: Study, todo: Sequence[Step]) -> str:
    """GPU hours of training, of predictions, and of generators."""
    time = estimate_gpu_seconds(study, todo)
    parts = [f"{tool}, {pace.describe('a case')}" for tool, pace in sorted(time.cases.items())]
    if time.networks:
        parts.insert(
            0, f"{time.networks} network{'s' * (time.networks != 1)}, {time.step.describe('a step of training')}"
        )
    return f"GPU hours: about {time.seconds / 3600:,.1f} on one GPU ({'; '.join(parts)})"


def step_time(records: Sequence[Mapping[str, Any]], options: Mapping[str, Any]) -> Pace:
    """Seconds of a training step: the median of earlier networks with equal patch, filters and batch, else assumed.

    Args:
        records: of earlier steps that ran on a GPU, with the options by which their images were prepared.
        options: all of the trainer in this study.
    """
    seconds = [
        record["seconds"] / record["steps_this_run"]
        for record in records
        if record.get("step") == "train" and isinstance(record.get("steps_this_run"), int) and record["steps_this_run"]
        and all(record["options"].get(name) == options.get(name) for name in PACE_OPTIONS)
    ]  # fmt: skip
    return Pace(median(seconds), measured=True) if seconds else Pace(ASSUMED_STEP_S, measured=False)


def case_time(records: Sequence[Mapping[str, Any]], tool: str) -> Pace:
    """Seconds of a case, its share of loading the model included: the median of earlier runs' means, else assumed."""
    cases = [
        [
            case["seconds"]
            for case in record.get("cases", {}).values()
            if case.get("seconds") and case.get("output_sha256")
        ]
        for record in records
        if record.get("tool") == tool and record.get("step") != "train"
    ]
    seconds = [mean(each) for each in cases if each]
    return Pace(median(seconds), measured=True) if seconds else Pace(ASSUMED_CASE_S, measured=False)


def _read_records(runs: Path) -> Iterator[Mapping[str, Any]]:
    """What steps that ran on a GPU recorded in the run folders beside this study's."""
    networks = ("5-models/*/seed-*", "6-predictions/*/seed-*")
    patterns = ("1-raw/*", *networks)
    for pattern in (*patterns, *(f"{FOLDS}/*/{pattern}" for pattern in patterns)):
        for folder in sorted(runs.glob(f"*/{DATASETS}/*/{pattern}")):
            record = read_run(folder)
            is_whole = isinstance(record.get("seconds"), int | float) and isinstance(record.get("options"), dict)
            if not is_whole or not str(record.get("device")).startswith("cuda"):
                continue
            if record.get("step") == "train":
                prepared = read_run(folder.parents[2] / "4-store" / "images").get("options", {})
                sizes = {name: prepared.get(name) for name in PREPARED_OPTIONS}
                record = {**record, "options": {**record["options"], **sizes}}
            yield record


def estimate_disk_bytes(study: Study, plan: Plan) -> float:
    """Compressed label maps and predictions, resampled images as int16, one file for each network."""
    voxels = {name: _count_voxels(study, name, cases) for name, cases in plan.about["cases"].items()}
    versions = len(study.versions) + 1
    total = sum(2 * voxels[name] * versions * COMPRESSED for name in study.content.datasets)
    for step in plan.steps:
        if step.kind == "remap" and step.output.startswith(f"{dataset_folder(step.dataset)}/{FOLDS}/"):
            total += 2 * voxels[step.dataset] * COMPRESSED
        if step.kind == "mix":
            total += voxels[step.dataset] * COMPRESSED * step.cases / len(plan.about["cases"][step.dataset])
        match trainer_step_name(study, step):
            case "prepare":
                total += 2 * voxels[step.dataset]
            case "prepare-labels":
                total += voxels[step.dataset] * COMPRESSED
            case "train":
                total += MODEL_BYTES
            case "predict":
                total += voxels[step.dataset] * COMPRESSED * step.cases / len(plan.about["cases"][step.dataset])
    return total


def trainer_step_name(study: Study, step: Step) -> str | None:
    """Which of the trainer's steps it is; None where another tool does it."""
    if study.trainer is None or step.tool != study.trainer.name:
        return None
    return step.arguments[step.arguments.index("--step") + 1]


def _count_voxels(study: Study, dataset: str, cases: Sequence[str]) -> float:
    """Voxels of all images, from their headers."""
    total = 0.0
    for case in cases:
        total += read_header(study.data / dataset / "images" / f"{case}{SUFFIX}").voxels
    return total


def format_bytes(size: float) -> str:
    """Say a size in GB or MB."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.0f} MB"
