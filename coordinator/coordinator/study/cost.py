"""What a study will cost and what it can see, said before it runs: GPU hours, disk, the smallest gain it would find.

Times are taken from networks and generators that earlier runs in the same folder measured, else assumed, and which of
the two is said.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import nibabel as nib
import polars as pl

from contract.datasets import SUFFIX
from contract.records import read_run
from coordinator.statistics.gains import gain, make_cube
from coordinator.statistics.power import detectable_gain
from coordinator.study.file import Study, Train, trainer_options
from coordinator.study.steps import NO_PRETRAIN, Plan, Step

ASSUMED_STEP_S = 0.13
"""Of two patches of 128 x 128 x 128: nnU-Net's 9 hours for 1000 epochs on an A100 with 40 GB (Isensee et al. 2024)."""
ASSUMED_CASE_S = 60.0
"""Of one case through a generator, or through a trained network, on one recent GPU."""
ASSUMED_STD = 0.03
"""Of the gain in Dice from case to case."""
MODEL_BYTES = 130e6
"""Of the paper's network."""
COMPRESSED = 1 / 50
"""Bytes of a voxel in a compressed label map; real ones take 1/67, noisy ones more."""
MATCHING = ("patch", "filters", "batch-size")
"""Options that the time of a training step depends on."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds that something takes, and whether that was measured."""

    seconds: float
    measured: bool

    def each(self, what: str) -> str:
        """Such as "0.13 s a step (assumed)"."""
        return f"{self.seconds:.2g} s {what} ({'measured' if self.measured else 'assumed'})"


def summary(study: Study, plan: Plan, todo: Sequence[Step]) -> list[str]:
    """Sentences about what the steps that are still to do will cost, and what the whole study could see.

    Args:
        study: with resolved names.
        plan: all its steps.
        todo: those that are not done.
    """
    lines = [_hours(study, todo)] if any(step.gpus for step in todo) else ["GPU hours: none"]
    lines.append(f"disk: about {_size(_disk_bytes(study, plan))} for everything")
    if study.content.train is not None:
        lines += _detectable(study, plan, study.content.train)
    return lines


def _hours(study: Study, todo: Sequence[Step]) -> str:
    """GPU hours of training, of predictions, and of generators."""
    train = study.content.train
    records = list(_records(study.run_folder.parent))
    step_pace = step_time(records, trainer_options(train)) if train else Pace(ASSUMED_STEP_S, measured=False)
    batches = train.batches_per_epoch if train else 0
    seconds, networks = 0.0, 0
    case_paces: dict[str, Pace] = {}
    for step in (step for step in todo if step.gpus):
        if "train" in step.arguments and step.tool == (study.trainer.name if study.trainer else None):
            seconds += step.cases * batches * step_pace.seconds
            networks += 1
        else:
            pace = case_paces.setdefault(step.tool or "", case_time(records, step.tool or ""))
            seconds += step.cases * pace.seconds
    parts = [f"{networks} network{'s' * (networks != 1)}, {step_pace.each('a step of training')}"] if networks else []
    parts += [f"{tool}, {pace.each('a case')}" for tool, pace in sorted(case_paces.items())]
    return f"GPU hours: about {seconds / 3600:,.1f} on one GPU ({'; '.join(parts)})"


def step_time(records: Sequence[Mapping[str, Any]], options: Mapping[str, Any]) -> Pace:
    """Seconds of a training step: the median of earlier networks with the same patch, filters and batch, or assumed.

    Args:
        records: `run.json` of earlier steps.
        options: of the trainer in this study.
    """
    found = [
        record["seconds"] / (record["options"]["epochs"] * record["options"]["batches-per-epoch"])
        for record in records
        if record.get("step") == "train" and record.get("seconds")
        and all(record["options"].get(name) == options.get(name) for name in MATCHING)
    ]  # fmt: skip
    return Pace(median(found), measured=True) if found else Pace(ASSUMED_STEP_S, measured=False)


def case_time(records: Sequence[Mapping[str, Any]], tool: str) -> Pace:
    """Seconds of a case: the median of earlier runs of a tool that labelled cases, or assumed."""
    found = [
        record["seconds"] / len(record["outputs"])
        for record in records
        if record.get("tool") == tool and record.get("step") != "train"
        and record.get("seconds") and record.get("outputs")
    ]  # fmt: skip
    return Pace(median(found), measured=True) if found else Pace(ASSUMED_CASE_S, measured=False)


def _records(runs: Path) -> Iterator[Mapping[str, Any]]:
    """What tools recorded in all run folders beside this study's."""
    for pattern in ("*/*/1-raw/*", "*/*/5-models/*/seed-*", "*/*/6-predictions/*/seed-*"):
        for folder in sorted(runs.glob(pattern)):
            if record := read_run(folder):
                yield record


def _disk_bytes(study: Study, plan: Plan) -> float:
    """Label maps and predictions compressed, resampled images as int16, a model for each network."""
    voxels = {name: _voxels(study, name, cases) for name, cases in plan.about["cases"].items()}
    versions, sources = len(study.generators), len(study.content.datasets)
    total = sum(2 * voxels[name] * (versions + 1) * COMPRESSED for name in study.content.datasets)
    train = study.content.train
    if train is None:
        return total
    for name in study.content.datasets:
        total += voxels[name] * (2 + (versions + 1) * COMPRESSED * (1 + train.holdout * len(train.seeds)))
    for target in study.content.transfer:
        total += sources * voxels[target] * (2 + (versions + 2) * COMPRESSED * train.holdout * len(train.seeds))
    networks = sources * (versions + 1) + sources * len(study.content.transfer) * (versions + 2)
    return total + networks * len(train.seeds) * MODEL_BYTES


def _voxels(study: Study, dataset: str, cases: Sequence[str]) -> float:
    """Voxels of all images, from their headers."""
    total = 0.0
    for case in cases:
        shape = nib.load(study.data / dataset / "images" / f"{case}{SUFFIX}").shape
        total += float(shape[0]) * shape[1] * shape[2]
    return total


def _detectable(study: Study, plan: Plan, train: Train) -> Iterator[str]:
    """The smallest gain of each comparison of this study."""
    comparisons, alpha = len(study.generators), study.content.verdict.alpha
    courses = [(name, name, name) for name in study.content.datasets]
    courses += [
        (f"{name} to {target}", f"transfer/{target}/{name}", target)
        for target in study.content.transfer
        for name in study.content.datasets
    ]
    for about, place, tested in courses:
        cases = len(plan.about["split"][tested]["holdout"])
        std = measured_std(study.run_folder / place / "6-predictions", study.content.score.empty)
        least = detectable_gain(std or ASSUMED_STD, cases, alpha / comparisons)
        how = f"{cases} held-out case{'s' * (cases != 1)}"
        if least is None:
            yield f"smallest gain that {about} would show: none at all with {how}; hold out at least 3"
            continue
        spread = f"{'measured' if std else 'assumed'} {100 * (std or ASSUMED_STD):.1f} points"
        yield (
            f"smallest gain that {about} would show: {100 * least:.1f} Dice points, 4 times of 5, with {how} and "
            f"{comparisons} comparison{'s' * (comparisons != 1)} (standard deviation between cases: {spread}; the "
            f"noise of seeds is not counted{'' if len(train.seeds) > 1 else ', and one seed does not show it'})"
        )


def measured_std(predictions: Path, convention: str) -> float | None:
    """Standard deviation of a case's gain, the median over label versions; None where nothing was scored before."""
    frames = [
        pl.read_parquet(file).with_columns(
            pl.lit(file.parts[-3]).alias("version"), pl.lit(int(file.parts[-2].removeprefix("seed-"))).alias("seed")
        )
        for file in sorted(predictions.glob("*/seed-*/scores.parquet"))
    ]
    if not frames:
        return None
    scores = pl.concat(frames, how="diagonal_relaxed")
    cube = make_cube(scores, convention, sorted(scores["label"].unique()))
    gains = [gain(cube, "base", version) for version in cube.versions if version not in {"base", NO_PRETRAIN}]
    found = [float(g.by_case.std(ddof=1)) for g in gains if g is not None and len(g.by_case) > 1]
    return median(found) if found and median(found) > 0 else None


def _size(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.0f} MB"
