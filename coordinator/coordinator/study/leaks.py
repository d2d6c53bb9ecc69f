"""The leak guard: which tests of a study meet scans that something was trained on, each with its cases.

    values and prints of scans ──► scans in two datasets, scans twice in one                    certain, with cases
    what is published          ──► datasets that share scans, what generators were trained on   by names alone

A network that is pre-trained on one dataset is tested on held-out cases of a target, so scans that both have are never
held out there. A given split that does otherwise is refused, or with `exclude_leaks: true` loses these held-out cases.
With `exclude_leaks: false` scans of two datasets are held out like others, as in the paper, and only named.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from contract.errors import UsageError
from coordinator.datasets.check import DatasetCheck, find_shared_scans
from coordinator.datasets.overlaps import find_published_overlap, find_training_sets, public_name
from coordinator.study.file import Study
from coordinator.study.generators import Generator
from coordinator.study.givensplit import read_given_split
from coordinator.study.split import Split

CERTAIN, NAMES_ALONE = "certain", "can't tell which scans"


@dataclass(frozen=True, slots=True)
class Leak:
    """Something that was, or may have been, trained on what it is tested with.

    Attributes:
        about: the datasets, or the label version and datasets.
        sure: `CERTAIN`, or `NAMES_ALONE` where only names of datasets are known.
        sentence: what is known, and what follows.
        cases: those concerned, such as `segthor/a = word/b`; none where only names are known.
    """

    about: str
    sure: str
    sentence: str
    cases: tuple[str, ...] = ()


def find_leaks(study: Study, checked: Mapping[str, DatasetCheck]) -> list[Leak]:
    """All leaks of a study, those with cases first.

    Args:
        study: with resolved names.
        checked: dataset name -> its check.
    """
    names = list(dict.fromkeys((*study.content.datasets, *study.content.transfer)))
    shared = {pair: _list_shared(checked, *pair) for pair in combinations(names, 2)}
    leaks = [
        *(leak for pair, cases in shared.items() if cases for leak in [_describe_shared(study, pair, cases)]),
        *(leak for name in names for leak in _describe_twins(checked[name])),
        *(leak for name in names for leak in _describe_left_out(study, checked, name)),
        *(leak for pair, cases in shared.items() for leak in _describe_published(study, pair, len(cases))),
        *(leak for generator in study.generators for leak in _describe_training(generator, names)),
    ]
    return list(dict.fromkeys(leaks))


def never_held_out(study: Study, checked: Mapping[str, DatasetCheck], name: str) -> set[str]:
    """Cases of a target dataset whose scan another dataset of the study has, and those that stay with one of these.

    None with `exclude_leaks: false`.
    """
    dataset = checked[name]
    if name not in study.content.transfer or study.content.exclude_leaks is False:
        return set()
    known = {case for source in study.content.datasets for case in find_shared_scans(dataset, checked[source])}
    return known | {case for group in dataset.kept_together if known.intersection(group) for case in group}


def leave_out_leaks(split: Split, dataset: DatasetCheck, file: Path, shared: Collection[str]) -> Split:
    """A given split without the held-out cases that networks know from training.

    Args:
        split: as it was given.
        dataset: its check.
        file: the study file, which opens the message.
        shared: cases whose scan another dataset of the study trains on.

    Returns:
        The split with fewer held-out cases; a case that was given on both sides stays, to be refused.

    Raises:
        UsageError: no held-out case is left.
    """
    leaking = set(_find_leaking(split, dataset, shared))
    holdout = tuple(case for case in split.holdout if case not in leaking)
    if not holdout:
        raise UsageError(
            f"{file}: train.split of {dataset.name}: some held-out case must be new to the networks, but with "
            f"`exclude_leaks` none is left of {len(split.holdout)}: they are trained on the same scans; hold out others"
        )
    return Split(split.train, holdout)


def _find_leaking(split: Split, dataset: DatasetCheck, shared: Collection[str]) -> list[str]:
    """The held-out cases of a given split whose scan or group is on the training side, here or in another dataset."""
    trained = set(split.train).intersection(dataset.cases)
    known = {case for group in dataset.kept_together if trained.intersection(group) for case in group}
    return sorted((known | set(shared)).intersection(split.holdout) - set(split.train))


def _list_shared(checked: Mapping[str, DatasetCheck], one: str, other: str) -> tuple[str, ...]:
    found = find_shared_scans(checked[other], checked[one])
    return tuple(f"{other}/{case} = {one}/{twin}" for case, twin in found.items())


def _list_tests(study: Study, pair: tuple[str, str]) -> list[tuple[str, str]]:
    """The orders of a pair of datasets in which networks are pre-trained on the first and tested on the second."""
    content = study.content
    return [(a, b) for a, b in (pair, pair[::-1]) if a in content.datasets and b in content.transfer]


def _describe_shared(study: Study, pair: tuple[str, str], cases: tuple[str, ...]) -> Leak:
    one, other = pair
    tests = _list_tests(study, pair)
    met = "these scans are not held out, so no test meets them"
    if study.content.exclude_leaks is False:
        met = "these scans are held out like others (`exclude_leaks: false`), so tests may show what is only remembered"
    follows = " ".join(
        f"Networks that are pre-trained on {source} are fine-tuned and tested on {target}; there {met}."
        for source, target in tests
    )
    if not tests:
        follows = "No network is trained on one and tested on the other, but results on the two are not independent."
    return Leak(f"{one}, {other}", CERTAIN, f"{_count(cases)} in both {one} and {other}. {follows}", cases)


def _describe_twins(dataset: DatasetCheck) -> Iterator[Leak]:
    if twins := dataset.twins:
        cases = tuple(" = ".join(f"{dataset.name}/{case}" for case in group) for group in twins)
        sentence = f"{_count(cases)} in {dataset.name} more than once. Every split keeps the copies on one side."
        yield Leak(dataset.name, CERTAIN, sentence, cases)


def _describe_left_out(study: Study, checked: Mapping[str, DatasetCheck], name: str) -> Iterator[Leak]:
    """What `exclude_leaks` takes out of a given split."""
    given = study.content.train and study.content.train.given_split(name)
    if not given or not study.content.exclude_leaks:
        return
    split = read_given_split(given, study.file.parent)
    if left_out := _find_leaking(split, checked[name], never_held_out(study, checked, name)):
        yield Leak(
            name,
            CERTAIN,
            f"{len(left_out)} of {len(split.holdout)} held-out cases of the given split are left out of the tests "
            "(`exclude_leaks`), since networks are trained on the same scan or on a case of the same group.",
            tuple(f"{name}/{case}" for case in left_out),
        )


def _describe_published(study: Study, pair: tuple[str, str], count: int) -> Iterator[Leak]:
    """What is published on two datasets, beside the `count` scans that were found in both."""
    one, other = pair
    if published := find_published_overlap(one, other):
        sentences = (
            f"{published.sentence} (source: {published.source}).",
            f"In these folders, {_count_found(count)} found in both; copies that were resampled or filtered can't be "
            "found, so whether there are more can't be told.",
            *(
                f"Networks that are pre-trained on {source} may know held-out cases of {target}."
                for source, target in _list_tests(study, pair)
            ),
        )
        yield Leak(f"{one}, {other}", NAMES_ALONE, " ".join(sentences))


def _describe_training(generator: Generator, names: Sequence[str]) -> Iterator[Leak]:
    """What a generator's weights learnt from, as far as it concerns the public datasets of the study."""
    tool, public = generator.tool, [name for name in names if public_name(name)]
    known = None if tool.added else find_training_sets(tool.name, generator.variant)
    if not public or not (known or tool.added):
        return
    if known is None or known.datasets is None:
        what = f"image {tool.added.image}" if tool.added else tool.name
        source = f" ({known.source})" if known else ""
        sentence = (
            f"What the weights of {what} were trained on is not known here{source}. {_follows(generator, public)}"
        )
        yield Leak(generator.name, NAMES_ALONE, sentence)
        return
    for trained in known.datasets:
        for name in public:
            if overlap := find_published_overlap(name, trained):
                is_itself = public_name(name) == trained
                through = "" if is_itself else f" {overlap.sentence} (source: {overlap.source})."
                sentence = f"{tool.name} was trained on {trained} (source: {known.source}).{through}"
                yield Leak(f"{generator.name}, {name}", NAMES_ALONE, f"{sentence} {_follows(generator, [name])}")


def _follows(generator: Generator, datasets: Sequence[str]) -> str:
    return (
        f"Labels of {generator.name} may be better on scans that the weights learnt from than on new ones, and so may "
        f"networks that are trained on these labels; which scans of {', '.join(datasets)} these are can't be told."
    )


def _count_found(count: int) -> str:
    return {0: "no scan was", 1: "1 scan was"}.get(count, f"{count} scans were")


def _count(scans: Sequence[str]) -> str:
    return f"{len(scans)} {'scan is' if len(scans) == 1 else 'scans are'}"
