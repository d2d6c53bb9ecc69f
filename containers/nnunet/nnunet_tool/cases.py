"""The cases of each fold, and other results of `prepare`; written once, read by every later step."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contract import Context, UsageError, atomic
from nnunet_tool.labelids import LabelIds

FOLDS = 5
FILE = "cases.json"
PLANS = "nnUNetPlans"
HOLDOUT, TRAIN = "holdout.txt", "train.txt"
"""Files of the input `split`: the cases that a study holds out, one a line, and those that it trains networks on. Where
the second is there, no other case is learned from: one on neither side may be the same scan as a held-out one."""


def assign_folds(cases: Sequence[str], seed: int) -> tuple[tuple[str, ...], ...]:
    """Deal the cases that networks are trained on out to five folds, depending only on their sorted names and the seed.

    Returns:
        The cases of each fold, sorted: every case in one fold, sizes that differ by one at most.

    Raises:
        UsageError: fewer than five cases.
    """
    if len(cases) < FOLDS:
        raise UsageError(
            f"nnunet: a five-fold cross-validation must have at least {FOLDS} readable cases, but there are "
            f"{len(cases)} to train on; add cases, or repair those that were set aside"
        )
    order = np.random.Generator(np.random.Philox(key=seed)).permutation(len(cases))
    dealt = [sorted(cases)[i] for i in order]
    return tuple(tuple(sorted(dealt[fold::FOLDS])) for fold in range(FOLDS))


def share_out(cases: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Share cases that no network is trained on out to the folds whose networks label them, by their sorted names."""
    return tuple(tuple(sorted(cases)[fold::FOLDS]) for fold in range(FOLDS))


def read_held_out(context: Context) -> frozenset[str]:
    """The cases of this run that no network may learn from, with `--folds-over training`; none with `--folds-over all`.

    Raises:
        UsageError: the list of held-out cases is not there, is empty, or names a case that the dataset has not.
    """
    if not context.manifest.leaves_held_out(context.options):
        return frozenset()
    folder = context.optional_input_folder("split") or context.arguments.inputs / "split"
    file = folder / HOLDOUT
    try:
        names = [line for line in file.read_text(encoding="utf-8").split("\n") if line.strip()]
    except OSError as error:
        raise UsageError(
            f"{file}: must name the held-out cases for --folds-over training, but: {error.strerror}; studies with a "
            "section `train` give it; outside of one, mount a folder with it as /in/split, or leave the option out"
        ) from None
    unknown = sorted(set(names) - set(context.dataset.cases()))
    if not names or unknown:
        came = f"names {', '.join(unknown)}" if unknown else "names none"
        raise UsageError(f"{file}: must name held-out cases of {context.dataset.name}, but {came}; correct the file")
    held_out = frozenset(names)
    if (folder / TRAIN).is_file():
        trained = (folder / TRAIN).read_text(encoding="utf-8").split("\n")
        held_out |= frozenset(context.cases) - frozenset(trained)
    return held_out & frozenset(context.cases)


def refuse_shard(context: Context) -> None:
    """Refuse `--shard`: a part of the cases would be cross-validated as if it were all of them."""
    if context.arguments.shard:
        raise UsageError(
            "--shard must not be given: a cross-validation needs all cases; on several machines, run the steps fold-0 "
            "to fold-4 side by side"
        )


@dataclass(frozen=True, slots=True)
class Prepared:
    """Results of `prepare` beside nnU-Net's own files.

    Attributes:
        dataset: nnU-Net's name of the dataset, and of the folder of its files.
        configuration: 3d_fullres or 2d.
        organs: label id of the dataset -> organ.
        folds: the own cases of each fold: its network labels them, and those of the other folds are trained on them.
        ids_of_cases: case of a fold -> label ids that occur in it.
        set_aside: case -> why it can't be read.
        apart: cases that a study holds out, by the fold whose network labels them; no network is trained on them.
    """

    dataset: str
    configuration: str
    organs: Mapping[int, str]
    folds: tuple[tuple[str, ...], ...]
    ids_of_cases: Mapping[str, tuple[int, ...]]
    set_aside: Mapping[str, str]
    apart: tuple[tuple[str, ...], ...] = ((),) * FOLDS

    @property
    def label_ids(self) -> LabelIds:
        """The dataset's ids, which convert to nnU-Net's and back."""
        return LabelIds(tuple(sorted(self.organs)))

    def training_cases(self, fold: int) -> tuple[str, ...]:
        """Cases of the other four folds, sorted."""
        return tuple(sorted(case for k, held in enumerate(self.folds) if k != fold for case in held))

    def labelled_cases(self, fold: int) -> tuple[str, ...]:
        """Cases that the network of a fold labels: its own, then its share of those that a study holds out."""
        return (*self.folds[fold], *self.apart[fold])

    def absent_ids(self, fold: int) -> tuple[int, ...]:
        """Label ids of the dataset that occur in no training case of a fold: its model can't learn them."""
        learned = {i for case in self.training_cases(fold) for i in self.ids_of_cases[case]}
        return tuple(i for i in sorted(self.organs) if i not in learned)

    def absent_organs(self, fold: int) -> tuple[str, ...]:
        """Organs of `absent_ids`."""
        return tuple(self.organs[i] for i in self.absent_ids(fold))

    def fold_of(self, case: str) -> int | None:
        """The fold whose network labels a case; None where there is none."""
        return next((fold for fold in range(FOLDS) if case in self.labelled_cases(fold)), None)

    def splits(self) -> list[dict[str, list[str]]]:
        """nnU-Net's `splits_final.json`."""
        return [{"train": list(self.training_cases(k)), "val": list(held)} for k, held in enumerate(self.folds)]


def write_prepared(folder: Path, prepared: Prepared) -> None:
    """Write `cases.json`."""
    atomic.write_json(
        folder / FILE,
        {
            "dataset": prepared.dataset,
            "configuration": prepared.configuration,
            "labels": [{"id": i, "organ": organ} for i, organ in sorted(prepared.organs.items())],
            "folds": [list(held) for held in prepared.folds],
            "apart": [list(cases) for cases in prepared.apart],
            "found": {case: list(ids) for case, ids in sorted(prepared.ids_of_cases.items())},
            "set_aside": dict(sorted(prepared.set_aside.items())),
        },
    )


def read_prepared(folder: Path) -> Prepared:
    """Read `cases.json`.

    Raises:
        UsageError: the folder holds no results of the step `prepare`.
    """
    file = folder / FILE
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return Prepared(
            dataset=content["dataset"],
            configuration=content["configuration"],
            organs={entry["id"]: entry["organ"] for entry in content["labels"]},
            folds=tuple(tuple(held) for held in content["folds"]),
            ids_of_cases={case: tuple(ids) for case, ids in content["found"].items()},
            set_aside=content["set_aside"],
            apart=tuple(tuple(cases) for cases in content["apart"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file}: must be what the step `prepare` wrote, but: {error}; run that step again") from None
