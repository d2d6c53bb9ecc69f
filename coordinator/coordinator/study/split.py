"""Which cases networks are trained on and which are held out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from contract.errors import UsageError
from coordinator.datasets.check import DatasetCheck
from coordinator.study.settings import TrainSettings


@dataclass(frozen=True, slots=True)
class Split:
    """Cases that networks are trained on, and held-out cases; the same for all label versions."""

    train: tuple[str, ...]
    holdout: tuple[str, ...]


def split_cases(
    cases: tuple[str, ...],
    train: TrainSettings,
    dataset: str,
    together: Sequence[Sequence[str]] = (),
    never_held_out: Collection[str] = (),
) -> Split:
    """Hold cases out at random, by `split_seed` and the cases alone.

    Args:
        cases: sound ones.
        train: share of cases to hold out, and the seed.
        dataset: its name.
        together: groups of cases that stay on one side, such as one scan twice.
        never_held_out: cases whose scan another dataset of the study trains on.

    Raises:
        UsageError: fewer than two cases, or no case can be held out.
    """
    if len(cases) < 2:
        raise UsageError(
            f"{dataset}: training needs at least 2 sound cases (one is held out), but there are {len(cases)}"
        )
    count = min(max(round(train.holdout * len(cases)), 1), len(cases) - 1)
    order = np.random.Generator(np.random.Philox(key=train.split_seed)).permutation(len(cases))
    groups = {case: tuple(group) for group in together for case in group}
    holdout: set[str] = set()
    for case in (cases[i] for i in order):
        group = groups.get(case, (case,))
        if case not in holdout and not set(group) & set(never_held_out) and len(holdout) + len(group) <= count:
            holdout.update(group)
    if not holdout:
        holdout.update(_smallest_group(cases, groups, never_held_out, dataset))
    return Split(train=tuple(sorted(set(cases) - holdout)), holdout=tuple(sorted(holdout)))


def draw_folds(
    cases: tuple[str, ...],
    train: TrainSettings,
    dataset: str,
    count: int,
    together: Sequence[Sequence[str]] = (),
) -> tuple[Split, ...]:
    """Hold every case out once, in folds of nearly equal size, by `split_seed` and the cases alone.

    Args:
        cases: sound ones.
        train: holds the seed.
        dataset: its name.
        count: number of folds.
        together: groups of cases that stay in one fold, such as one scan twice.

    Raises:
        UsageError: fewer groups than folds.
    """
    grouped = {case: tuple(group) for group in together for case in group}
    groups = list(dict.fromkeys(grouped.get(case, (case,)) for case in cases))
    if len(groups) < count:
        kept = f" in {len(groups)} groups that stay together" if len(groups) < len(cases) else ""
        raise UsageError(
            f"{dataset}: each of {count} folds needs a case to hold out, but there are {len(cases)} sound cases{kept}; "
            "give fewer `train.folds`"
        )
    order = np.random.Generator(np.random.Philox(key=train.split_seed)).permutation(len(groups))
    folds: list[list[str]] = [[] for _ in range(count)]
    for group in sorted((groups[i] for i in order), key=len, reverse=True):
        min(folds, key=len).extend(group)
    return tuple(Split(tuple(sorted(set(cases) - set(fold))), tuple(sorted(fold))) for fold in folds)


def leave_out_unlabelled(split: Split, dataset: DatasetCheck, reference: str, versions: Sequence[str]) -> Split:
    """Keep the training cases that every label version has labels of, so that all networks see the same cases.

    Args:
        split: of the dataset.
        dataset: its check, which knows what label sets cover.
        reference: the label version that networks are tested against.
        versions: those that are compared with it.

    Raises:
        UsageError: no training case is left, or held-out cases have no reference labels.
    """
    if untestable := sorted(set(split.holdout) - set(dataset.covered(reference))):
        raise UsageError(
            f"{dataset.name}: held-out cases must have labels in {reference}, the reference, but these have none: "
            f"{', '.join(untestable)}; hold others out"
        )
    train = tuple(sorted(set(split.train).intersection(dataset.covered(reference, *versions))))
    if not train:
        counts = ", ".join(
            f"{name} {len(labels)} of {len(dataset.cases)}" for name, labels in dataset.label_sets.items()
        )
        raise UsageError(
            f"{dataset.name}: networks are trained on the cases that every label version has labels of, but no "
            f"training case is one ({counts}); add labels, leave a label set out, or give a `train.split`"
        )
    return Split(train, split.holdout)


def _smallest_group(
    cases: tuple[str, ...], groups: Mapping[str, tuple[str, ...]], never_held_out: Collection[str], dataset: str
) -> tuple[str, ...]:
    """The smallest group that stays together, where every one has more cases than are to be held out.

    Raises:
        UsageError: no scan can be held out.
    """
    free = {groups.get(case, (case,)) for case in cases}
    free = {group for group in free if not set(group) & set(never_held_out) and len(group) < len(cases)}
    if not free:
        raise UsageError(
            f"{dataset}: some scan must be held out, but each is also on the training side (the same scan more than "
            "once, or in another dataset of the study); add other scans, or leave one of the datasets out; or, to "
            "test on scans that networks know, say `exclude_leaks: false`"
        )
    return min(free, key=lambda group: (len(group), group))
