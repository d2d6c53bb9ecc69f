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


def assign_folds(cases: Sequence[str], seed: int) -> tuple[tuple[str, ...], ...]:
    """Deal cases out to five folds, depending only on their sorted names and the seed.

    Returns:
        The held-out cases of each fold, sorted: every case in one fold, sizes that differ by one at most.

    Raises:
        UsageError: fewer than five cases.
    """
    if len(cases) < FOLDS:
        raise UsageError(
            f"nnunet: a five-fold cross-validation must have at least {FOLDS} readable cases, but there are "
            f"{len(cases)}; add cases, or repair those that were set aside"
        )
    order = np.random.Generator(np.random.Philox(key=seed)).permutation(len(cases))
    dealt = [sorted(cases)[i] for i in order]
    return tuple(tuple(sorted(dealt[fold::FOLDS])) for fold in range(FOLDS))


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
        folds: held-out cases of each fold.
        ids_of_cases: case -> label ids that occur in it.
        set_aside: case -> why it can't be read.
    """

    dataset: str
    configuration: str
    organs: Mapping[int, str]
    folds: tuple[tuple[str, ...], ...]
    ids_of_cases: Mapping[str, tuple[int, ...]]
    set_aside: Mapping[str, str]

    @property
    def label_ids(self) -> LabelIds:
        """The dataset's ids, which convert to nnU-Net's and back."""
        return LabelIds(tuple(sorted(self.organs)))

    def training_cases(self, fold: int) -> tuple[str, ...]:
        """Cases of the other four folds, sorted."""
        return tuple(sorted(case for k, held in enumerate(self.folds) if k != fold for case in held))

    def absent_ids(self, fold: int) -> tuple[int, ...]:
        """Label ids of the dataset that occur in no training case of a fold: its model can't learn them."""
        learned = {i for case in self.training_cases(fold) for i in self.ids_of_cases[case]}
        return tuple(i for i in sorted(self.organs) if i not in learned)

    def absent_organs(self, fold: int) -> tuple[str, ...]:
        """Organs of `absent_ids`."""
        return tuple(self.organs[i] for i in self.absent_ids(fold))

    def fold_of(self, case: str) -> int | None:
        """The fold that a case is held out of; None where it is in none."""
        return next((fold for fold, held in enumerate(self.folds) if case in held), None)

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
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file}: must be what the step `prepare` wrote, but: {error}; run that step again") from None
