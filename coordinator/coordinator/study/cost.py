"""What a study will cost and what it could show, before it runs: GPU hours, disk, the smallest gain it would find.

Times are those that earlier runs in the same folder measured, else assumed; each sentence names which of the two.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, inf
from pathlib import Path
from statistics import mean, median
from typing import Any

import polars as pl

from contract import statefiles
from contract.datasets import SUFFIX
from contract.records import read_run
from contract.volumes import read_header
from coordinator.scoring.framefiles import parse_frame
from coordinator.statistics.gains import fold_factor, gain, make_cube
from coordinator.statistics.intervals import FEWEST_TESTED
from coordinator.statistics.power import Design, detectable_distance
from coordinator.statistics.seednoise import MOST_BORROWED, SeedError
from coordinator.study.file import Study, trainer_options
from coordinator.study.settings import TrainSettings, VerdictSettings
from coordinator.study.steps import (
    DATASETS,
    FOLDS,
    Plan,
    Step,
    dataset_folder,
    read_splits,
    transfer_folder,
)

ASSUMED_STEP_S = 0.13
"""Of two patches of 128 x 128 x 128: nnU-Net's 9 hours for 1000 epochs on an A100 with 40 GB (Isensee et al. 2024)."""
ASSUMED_CASE_S = 60.0
"""Of one case through a generator, or through a trained network, on one recent GPU."""
ASSUMED_STD = 0.03
"""Of the gain in Dice from case to case: an assumption, and printed as one."""
ASSUMED_SEED_STD = 0.005
"""Of a network's Dice from seed to seed: an assumption, and printed as one. Two networks on the same labels then differ
by more than a Dice point in one of six pairs."""
CAUTION_OF_SEEDS = 1.2
"""Simulated: the noise of three seeds counts 1.3 times, that of two 2.2 times, before 80 % of studies show a gain."""
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
    lines.append(f"disk: about {_format_bytes(_disk_bytes(study, plan))} for everything")
    if study.content.train is not None:
        lines += _describe_detectable_gains(study, plan, study.content.train, confidence)
    return lines


def _describe_hours(study: Study, todo: Sequence[Step]) -> str:
    """GPU hours of training, of predictions, and of generators."""
    train = study.content.train
    records = list(_read_records(study.run_folder.parent))
    step_pace = Pace(ASSUMED_STEP_S, measured=False)
    if train and study.trainer:
        step_pace = step_time(records, study.trainer.manifest.complete_options(dict(trainer_options(train))))
    batches = train.batches_per_epoch if train else 0
    seconds, networks = 0.0, 0
    case_paces: dict[str, Pace] = {}
    for step in (step for step in todo if step.gpus):
        if _trainer_step_name(study, step) == "train":
            seconds += step.cases * batches * step_pace.seconds
            networks += 1
        else:
            pace = case_paces.setdefault(step.tool or "", case_time(records, step.tool or ""))
            seconds += step.cases * pace.seconds
    parts = [f"{tool}, {pace.describe('a case')}" for tool, pace in sorted(case_paces.items())]
    if networks:
        parts.insert(0, f"{networks} network{'s' * (networks != 1)}, {step_pace.describe('a step of training')}")
    return f"GPU hours: about {seconds / 3600:,.1f} on one GPU ({'; '.join(parts)})"


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


def _disk_bytes(study: Study, plan: Plan) -> float:
    """Compressed label maps and predictions, resampled images as int16, one file for each network."""
    voxels = {name: _count_voxels(study, name, cases) for name, cases in plan.about["cases"].items()}
    versions = len(study.versions) + 1
    total = sum(2 * voxels[name] * versions * COMPRESSED for name in study.content.datasets)
    for step in plan.steps:
        if step.kind == "remap" and step.output.startswith(f"{dataset_folder(step.dataset)}/{FOLDS}/"):
            total += 2 * voxels[step.dataset] * COMPRESSED
        if step.kind == "mix":
            total += voxels[step.dataset] * COMPRESSED * step.cases / len(plan.about["cases"][step.dataset])
        match _trainer_step_name(study, step):
            case "prepare":
                total += 2 * voxels[step.dataset]
            case "prepare-labels":
                total += voxels[step.dataset] * COMPRESSED
            case "train":
                total += MODEL_BYTES
            case "predict":
                total += voxels[step.dataset] * COMPRESSED * step.cases / len(plan.about["cases"][step.dataset])
    return total


def _trainer_step_name(study: Study, step: Step) -> str | None:
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


def _describe_detectable_gains(study: Study, plan: Plan, train: TrainSettings, confidence: float) -> Iterator[str]:
    """The smallest gain that each group of networks would show; none where nothing will show the noise of seeds."""
    verdict = study.content.verdict
    seeds = expected_seed_error(train, verdict, len(study.versions))
    groups = [(name, dataset_folder(name), name) for name in study.content.datasets]
    groups += [
        (f"{name} to {target}", transfer_folder(target, name), target)
        for target in study.content.transfer
        for name in study.content.datasets
    ]
    if seeds is None:
        first = max(train.seeds) + 1
        yield (
            "smallest gain that this study would show: none, it can't tell at all, since one seed does not show how "
            f"much networks differ by chance; add seeds, or `noise_seeds: [{first}, {first + 1}]` ({2 * len(groups)} "
            "more networks), or `verdict.seed_std` with its source"
        )
        return
    # Few seeds are judged with caution: a gain that four of five studies show is larger than the noise alone says.
    caution = 1 + CAUTION_OF_SEEDS / (len(train.seeds) - 1) ** 2 if len(train.seeds) > 1 else 1.0
    cautious = replace(seeds, std=caution * seeds.std)
    comparisons = len(study.versions) * len(groups)
    noise = f"{_format_points(seeds.networks)} ({_describe_source(verdict, seeds)})"
    for group, folder, tested in groups:
        splits = read_splits(plan.about, tested)
        held_out = _count_groups(plan, tested, [case for split in splits.values() for case in split["holdout"]])
        with_cases = _describe_tested(study, plan, tested, held_out)
        measured = measured_std(study, plan, folder, tested)
        std = measured or ASSUMED_STD * fold_factor(len(splits)) ** 0.5
        noise_of_seeds = replace(cautious, std=cautious.std / len(splits) ** 0.5)
        smallest = detectable_distance(Design(std, held_out, confidence, noise_of_seeds))
        if smallest is None:
            enough = ceil(FEWEST_TESTED / train.holdout)
            kind = "in all" if _count_with_reference(study, plan, tested) is None else "with reference labels"
            total = f", which takes {enough} cases {kind} with `holdout: {train.holdout:g}`"
            yield (
                f"smallest gain that {group} would show: none, it can't tell at all {with_cases}; hold out at least "
                f"{FEWEST_TESTED}{'' if train.given_split(tested) or train.folds else total}"
            )
            continue
        yield (
            f"smallest gain that {group} would show in 4 of 5 studies: {_format_points(smallest)} of Dice, "
            f"{_format_points(smallest + verdict.margin)} to be worth it; {with_cases} and {comparisons} "
            f"comparison{'s' * (comparisons != 1)}; standard deviation between cases "
            f"{_format_points(std)} ({'measured' if measured else 'assumed'}), between seeds {noise}"
        )


def _describe_tested(study: Study, plan: Plan, dataset: str, held_out: int) -> str:
    """With how many cases networks are tested, such as "with 4 held-out cases (of 20 cases in all)"."""
    with_reference, folds = _count_with_reference(study, plan, dataset), len(read_splits(plan.about, dataset))
    of_cases = f"{len(plan.about['cases'][dataset])} cases in all"
    if with_reference is not None:
        of_cases = f"{with_reference} cases that {study.reference} has labels of"
    in_folds = f" in {folds} folds" if folds > 1 else ""
    return f"with {held_out} held-out case{'s' * (held_out != 1)}{in_folds} (of {of_cases})"


def _count_with_reference(study: Study, plan: Plan, dataset: str) -> int | None:
    """Cases that the reference has labels of; None where it is the dataset's own labels."""
    covered = plan.about.get("covered", {}).get(dataset, {}).get(study.reference)
    return None if covered is None else len(covered)


def _count_groups(plan: Plan, dataset: str, cases: Sequence[str]) -> int:
    """Cases, where those of one group, such as a patient, count once."""
    groups = plan.about.get("groups", {}).get(dataset, {})
    return len({groups.get(case, case) for case in cases})


def expected_seed_error(train: TrainSettings, verdict: VerdictSettings, comparisons: int) -> SeedError | None:
    """The seeds' part in the error of a gain, as `statistics.seednoise` will judge it; None where it will be unknown.

    Args:
        train: how many seeds there are, and how many on the reference labels alone.
        verdict: holds the standard deviation that a user gives for networks of one seed.
        comparisons: number of label versions beside the reference labels.

    Returns:
        That of networks with the assumed standard deviation. With one seed of every network, that of the study file.
    """
    seeds, base_seeds = len(train.seeds), len(train.seeds) + len(train.noise_seeds)
    relative = (1 / seeds + 1 / base_seeds) ** 0.5
    if base_seeds == 1:
        std = verdict.seed_std
        return None if std is None else SeedError(std * relative, inf, std, "given")
    own, of_base = seeds - 1, base_seeds - 1
    others = of_base + (comparisons - 1) * own
    freedom = own + min(MOST_BORROWED, others) if own else others
    freedom_of_base = of_base + min(MOST_BORROWED, comparisons * own)
    together = relative**4 / (1 / seeds**2 / freedom + 1 / base_seeds**2 / freedom_of_base)
    pooled = of_base + comparisons * own
    return SeedError(ASSUMED_SEED_STD * relative, min(together, pooled), ASSUMED_SEED_STD, "assumed")


def _describe_source(verdict: VerdictSettings, seeds: SeedError) -> str:
    return f"the study file's, from: {verdict.seed_std_source}" if seeds.source == "given" else seeds.source


def _format_points(std: float) -> str:
    return f"{100 * std:.1f} points"


def measured_std(study: Study, plan: Plan, folder: str, dataset: str) -> float | None:
    """Standard deviation of a case's gain, the median over label versions; None where nothing was scored before.

    Args:
        study: with resolved names.
        plan: its splits and groups.
        folder: of the networks, relative to the run folder; with folds, what holds those of each.
        dataset: whose cases the networks are tested on.
    """
    splits = list(read_splits(plan.about, dataset))
    frames = [
        frame.with_columns(
            pl.lit(file.parts[-3]).alias("version"),
            pl.lit(int(file.parts[-2].removeprefix("seed-"))).alias("seed"),
            pl.lit(number).alias("fold"),
        )
        for number, place in enumerate(splits if len(splits) > 1 else [folder])
        for file in sorted((study.run_folder / place).glob("6-predictions/*/seed-*/scores.parquet"))
        if file.parts[-3] in {study.reference, *study.versions}
        if (frame := statefiles.read(file, parse_frame)) is not None
    ]
    if not frames:
        return None
    scores = pl.concat(frames, how="diagonal_relaxed")
    groups = plan.about.get("groups", {}).get(dataset, {})
    cube = make_cube(scores, study.content.score.empty, sorted(scores["label"].unique()), groups=groups)
    gains = [gain(cube, study.reference, version) for version in cube.versions if version != study.reference]
    stds = [float(g.by_case.std(ddof=1)) for g in gains if g is not None and len(g.by_case) > 1]
    return median(stds) if stds and median(stds) > 0 else None


def _format_bytes(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.0f} MB"
