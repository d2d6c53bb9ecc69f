"""Splits that are given, as an official one or a fold of nnU-Net: read, and refused where they can't judge networks."""

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from contract.casefiles import describe_kind
from contract.errors import UsageError
from contract.yamlfiles import did_you_mean
from contract.yamlnodes import show_text
from contract.yamltext import list_problems
from coordinator.datasets.check import DatasetCheck
from coordinator.study.settings import GivenSplit
from coordinator.study.split import Split

HELD_OUT = ("holdout", "val")
"""What a file calls the held-out cases: ours, nnU-Net's."""
EXCLUDE = ", or set `exclude_leaks: true` to leave such held-out cases out of the tests"


def read_given_split(given: GivenSplit, beside: Path) -> Split:
    """The cases of both sides, as they are given.

    Args:
        given: of the study file.
        beside: folder of the study file, which a file's path is relative to.

    Raises:
        UsageError: a file that can't be read, holds no split, or holds several and none is chosen.
    """
    if given.file is None:
        return Split(given.train, given.holdout)
    file = beside / given.file
    folds = _read_folds(file)
    if given.fold is None and len(folds) > 1:
        raise UsageError(
            f"{file}: holds {len(folds)} folds, and networks are trained on one; choose it, as "
            f"`split: {{file: {given.file}, fold: 0}}`"
        )
    if (fold := given.fold or 0) >= len(folds):
        raise UsageError(f"{file}: must hold fold {fold}, but holds {len(folds)}, counted from 0; choose another")
    return folds[fold]


def use_given_split(split: Split, dataset: DatasetCheck, file: Path, never_held_out: Collection[str] = ()) -> Split:
    """Take a given split for the sound cases of a dataset.

    Args:
        split: as it was given.
        dataset: its check; cases that are excluded or set aside are left out.
        file: the study file, which opens the message.
        never_held_out: cases whose scan another dataset of the study trains on.

    Raises:
        UsageError: unknown cases, cases on both sides, a side without a sound case, one scan on both sides, an organ
            that only held-out cases have.
    """
    if problems := list(_find_problems(split, dataset, never_held_out)):
        raise UsageError(list_problems(f"{file}: train.split of {dataset.name}", problems))
    sound = set(dataset.cases)
    return Split(*(tuple(sorted(sound.intersection(side))) for side in (split.train, split.holdout)))


def describe_unlearned(split: Split, dataset: DatasetCheck) -> Iterator[str]:
    """A line for each organ that held-out cases have and no training case has, by the dataset's own labels."""
    learned, tested = (
        {organ for case in side for organ in dataset.checks[case].organs} for side in (split.train, split.holdout)
    )
    for organ in sorted(tested - learned):
        if organ in dataset.labels:
            yield f"{dataset.labels[organ]}: must be in a case of `train`, but only held-out cases have it"


def find_unused(split: Split, dataset: DatasetCheck) -> list[str]:
    """The sound cases that are on neither side."""
    return sorted(set(dataset.cases) - {*split.train, *split.holdout})


def _read_folds(file: Path) -> list[Split]:
    if problem := describe_kind(file):
        raise UsageError(f"{file}: a split must be a JSON file, but: {problem}")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        folds = [_parse_fold(fold) for fold in (content if isinstance(content, list) else [content])]
    except OSError as error:
        raise UsageError(f"{file}: a split must be readable, but: {error.strerror}") from None
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise UsageError(
            f'{file}: must hold {{"train": [cases], "holdout": [cases]}}, or nnU-Net\'s list of folds, but does not '
            f"({error})"
        ) from None
    if not folds:
        raise UsageError(f"{file}: must hold a split, but holds an empty list; is it the right file?")
    return folds


def _parse_fold(fold: Any) -> Split:  # noqa: ANN401 - JSON
    names = next((name for name in HELD_OUT if name in fold), HELD_OUT[0])
    sides = [fold["train"], fold[names]]
    if not all(isinstance(side, list) and side and all(isinstance(case, str) for case in side) for side in sides):
        raise ValueError("each side must be a list of names, and not empty")
    return Split(*map(tuple, sides))


def _find_problems(split: Split, dataset: DatasetCheck, never_held_out: Collection[str]) -> Iterator[str]:
    known = {*dataset.checks, *dataset.excluded}
    for case in sorted({*split.train, *split.holdout} - known):
        yield f"there is no case {show_text(case)!r}; {did_you_mean(case, known)}"
    if both := sorted(set(split.train) & set(split.holdout)):
        yield f"a case must be on one side, but on both are {_list(both)}"
    sound = set(dataset.cases)
    train, holdout = sound.intersection(split.train), sound.intersection(split.holdout)
    for name, side, given in (("train", train, split.train), ("holdout", holdout, split.holdout)):
        if not side and known.intersection(given):
            yield f"{name}: must have a case that can be used, but all are excluded or set aside: {_list(given)}"
    yield from _find_separated(train, holdout, dataset)
    if leaked := sorted(holdout.intersection(never_held_out)):
        yield f"networks are trained on other datasets with the scans of {_list(leaked)}; hold out others{EXCLUDE}"
    if train:
        yield from describe_unlearned(Split(tuple(train), tuple(holdout)), dataset)


def _find_separated(train: set[str], holdout: set[str], dataset: DatasetCheck) -> Iterator[str]:
    """What must be on one side, but is on both: a scan that comes twice, a group of dataset.yaml, or both joined."""
    separated = [twins for twins in dataset.twins if train.intersection(twins) and holdout.intersection(twins)]
    for twins in separated:
        yield f"one scan must be on one side, but {_list(twins)} are the same scan; exclude one of them{EXCLUDE}"
    for together in dataset.kept_together:
        learned, tested = sorted(train.intersection(together)), sorted(holdout.intersection(together))
        if learned and tested and not any(set(twins) <= set(together) for twins in separated):
            yield (
                "a group of dataset.yaml must be on one side, with what is the same scan as one of its cases, but "
                f"networks would be trained on {_list(learned)} and tested on {_list(tested)}; move them{EXCLUDE}"
            )


def _list(cases: Sequence[str]) -> str:
    return ", ".join(cases[:5]) + (f" and {len(cases) - 5} more" if len(cases) > 5 else "")
