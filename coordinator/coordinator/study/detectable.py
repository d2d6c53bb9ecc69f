"""What a study could show, before it runs: the smallest gain of each group of networks that it would find.

The spread of the gain over cases is the one that an earlier run measured, else assumed; each sentence names which.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil, inf
from statistics import median

import polars as pl

from contract import statefiles
from coordinator.scoring.framefiles import parse_frame
from coordinator.statistics.gains import fold_factor, gain, make_cube
from coordinator.statistics.intervals import FEWEST_TESTED
from coordinator.statistics.power import Design, detectable_distance
from coordinator.statistics.seednoise import MOST_BORROWED, SeedError
from coordinator.study.file import Study
from coordinator.study.settings import TrainSettings, VerdictSettings
from coordinator.study.steps import Plan, dataset_folder, read_splits, transfer_folder

ASSUMED_STD = 0.03
"""Of the gain in Dice from case to case: an assumption, and printed as one."""
ASSUMED_SEED_STD = 0.005
"""Of a network's Dice from seed to seed: an assumption, and printed as one. Two networks on the same labels then differ
by more than a Dice point in one of six pairs."""
CAUTION_OF_SEEDS = 1.2
"""Simulated: the noise of three seeds counts 1.3 times, that of two 2.2 times, before 80 % of studies show a gain."""


def describe_detectable_gains(study: Study, plan: Plan, train: TrainSettings, confidence: float) -> Iterator[str]:
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
