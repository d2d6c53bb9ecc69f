"""Step `collect`: one label map a case, from the fold that held it out; refused if its model was trained on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contract import Case, CaseError, Context, ContractError, LabelMap
from contract.datasets import SUFFIX
from contract.volumes import read_labels
from nnunet_tool.cases import FOLDS, Prepared, read_prepared
from nnunet_tool.foldrecord import FoldRecord, read_record


@dataclass(frozen=True, slots=True)
class Collected:
    """Results of the earlier steps.

    Attributes:
        prepared: results of `prepare`.
        folds: folder and record of each fold.
    """

    prepared: Prepared
    folds: Mapping[int, tuple[Path, FoldRecord]]


def load(context: Context) -> Collected:
    """Open the results of the folds, and record which network labelled the cases that a study holds out.

    Raises:
        ContractError: a network was trained on one of these.
    """
    folders = [context.input_folder(f"fold-{fold}") for fold in range(FOLDS)]
    folds = {fold: (folder, read_record(folder)) for fold, folder in enumerate(folders)}
    prepared = read_prepared(context.input_folder("prepare"))
    refuse_trained_on_held_out(prepared, folds)
    context.facts["folds_over"] = context.options["folds-over"]
    context.facts["held_out_labelled_by"] = {
        case: f"fold-{fold}" for fold, cases in enumerate(prepared.apart) for case in cases
    }
    return Collected(prepared, folds)


def refuse_trained_on_held_out(prepared: Prepared, folds: Mapping[int, tuple[Path, FoldRecord]]) -> None:
    """Refuse folds of which one was trained on a case that the study holds out.

    Raises:
        ContractError: names the cases and the fold.
    """
    apart = {case for cases in prepared.apart for case in cases}
    for fold, (_, record) in folds.items():
        if seen := sorted(apart & set(record.trained_on)):
            raise ContractError(
                f"{', '.join(seen)}: must be unknown to all networks, since the study holds them out, but that of "
                f"fold-{fold} was trained on them"
            )


def segment(collected: Collected, case: Case) -> LabelMap:
    """Read a case's label map from its fold.

    Raises:
        CaseError: it was set aside, or is in no fold.
        ContractError: the model that labelled it was trained on it.
    """
    prepared = collected.prepared
    if case.name in prepared.set_aside:
        raise CaseError(prepared.set_aside[case.name])
    fold = prepared.fold_of(case.name)
    if fold is None:
        raise CaseError(f"{case.name}: must be one of the cases of `prepare`, but is not; run that step again")
    folder, record = collected.folds[fold]
    if case.name in record.trained_on:
        raise ContractError(f"{case.name}: must be unknown to the model of fold-{fold}, but it was trained on it")
    return read_labels(folder / f"{case.name}{SUFFIX}", case.image, prepared.organs)
