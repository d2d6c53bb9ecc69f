"""READ THIS FIRST. How a study becomes steps.

    images, labels ──► base, or a label set of the user ───────────────────────────┐
         │                                                                         ├──► score ──► Table 1
         └──► generator, in one step or several ──► remap ──► label version ───────┘
                                                                    ├──► mixture of two, by `mix`
                                                                    │
    images ──► prepare (once) ──► prepare-labels ◄──────────────────┘
                   └──► train ◄────────┘
                          ├──► predict the held-out cases ──► score-predictions ──► Fig. 2
                          └──► fine-tune on a target dataset, predict, score ──► Tables 2 and 3

    RUN/datasets/<dataset>/0-work/<generator>/<step>/  of a generator's earlier steps, such as trained folds
    RUN/datasets/<dataset>/1-raw/<generator>/          the generator's pseudo-labels, in its own label ids
    RUN/datasets/<dataset>/2-labels/<version>/         in the dataset's ids; `base` holds the dataset's own; mixtures
    RUN/datasets/<dataset>/3-scores/<version>.parquet  + shells/<version>.parquet, from the same reading
    RUN/datasets/<dataset>/3-agreement.parquet         of each version with the consensus of the others
    RUN/datasets/<dataset>/4-store/{images,<version>}/ resampled once for all versions
    RUN/datasets/<dataset>/5-models/<version>/seed-<n>/
    RUN/datasets/<dataset>/6-predictions/<version>/seed-<n>/ + scores.parquet
    RUN/datasets/<dataset>/folds/<n>/                  with `train.folds`: these three of each fold, and mixtures; and
                                                       all of a label version that is made anew in each fold
    RUN/transfer/<target>/<dataset>/…                 the same for networks fine-tuned from those of <dataset>

A step's fingerprint is the digest of all that its output depends on: the code of its tool, its arguments, the bytes
of the cases it reads, and the fingerprints of the steps before it. Only a step whose fingerprint changed is redone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from contract.datasets import Dataset, open_dataset
from contract.errors import UsageError
from contract.stamps import mark_file
from contract.yamltext import list_problems
from coordinator.datasets.check import DatasetCheck, check_dataset
from coordinator.datasets.labelsets import LabelSetCheck, add_label_sets, check_label_set
from coordinator.runners import Runner
from coordinator.runners.choose import choose_runner
from coordinator.study.entries import LabelSetEntry
from coordinator.study.file import Study
from coordinator.study.generatorsteps import made_in_folds
from coordinator.study.givensplit import describe_unlearned, find_unused, read_given_split, use_given_split
from coordinator.study.labelmappings import IdMapping, find_id_mapping, find_set_mapping
from coordinator.study.labelversions import label_version_steps, list_known, refuse_unscorable
from coordinator.study.leaks import find_leaks, leave_out_leaks, never_held_out
from coordinator.study.marks import Marks, find_marks, join_marks
from coordinator.study.mixtures import describe_mix, ranking_steps
from coordinator.study.networks import Training, network_steps
from coordinator.study.planner import Planner, label_table
from coordinator.study.runfolder import (
    make_dataset_folder,
    refuse_clashes,
    refuse_older_layout,
    refuse_unsafe_places,
)
from coordinator.study.settings import TrainSettings
from coordinator.study.split import Split, draw_folds, leave_out_unlabelled, split_cases
from coordinator.study.steps import ADDED_TOOLS, BASE, FOLDS, Plan, Step

DESCRIPTION = "dataset.yaml"


def make_plan(study: Study, checked: Mapping[str, DatasetCheck] | None = None, runner: Runner | None = None) -> Plan:
    """Turn a study into steps.

    Args:
        study: with resolved names.
        checked: dataset name -> its check; only sound cases are planned; `check_datasets(study)` when None.
        runner: starts tools, and knows the digest of each tool's code; the study file's when None.

    Returns:
        The plan, whose `steps` come in an order in which they could be done. Nothing is started. Only the check of the
        datasets writes: into the study's run folder, so that the next check is fast.

    Raises:
        UsageError: a tool is not built, a dataset has no labels or too few cases, a label mapping is missing, a
            generator is to learn nothing from held-out cases and there are none.
    """
    if checked is None:
        checked = check_datasets(study)
    if runner is None:
        runner = choose_runner(study.content.run.runtime, study.tools)
    planner = Planner(study, runner, study.weights.is_dir())
    steps: list[Step] = []
    mappings: dict[str, dict[str, IdMapping]] = {}
    splits: dict[str, tuple[Split, ...]] = {}
    known: dict[str, dict[str, list[int]]] = {}
    marks = _find_all_marks(study, has_held_out=study.content.train is not None)
    for name in study.content.datasets:
        dataset = checked[name]
        refuse_unscorable(dataset)
        mappings[name] = _find_mappings(study, dataset)
        if study.content.train is not None:
            splits[name] = _split_dataset(study, checked, name, study.content.train)
        steps += label_version_steps(planner, dataset, mappings[name], splits.get(name, ()))
        made = {step.label_version: step for step in steps if step.id.startswith(f"{name}/2-labels/")}
        known[name] = list_known(dataset, made, mappings[name])
        steps += ranking_steps(planner, dataset, made, known[name], marks)
    if study.content.train is not None and study.trainer is not None:
        _refuse_lacking_targets(study, mappings)
        for name in study.content.transfer:
            splits[name] = _split_dataset(study, checked, name, study.content.train)
        steps += network_steps(Training(planner, study.trainer, study.content.train), checked, splits, steps, known)
    refuse_clashes(steps)
    return Plan(
        study=study.name,
        data=str(study.data),
        weights=str(study.weights) if planner.weights_present else None,
        steps=tuple(steps),
        about=_describe_study(study, checked, mappings, splits, marks),
    )


def check_datasets(study: Study) -> dict[str, DatasetCheck]:
    """Check every file of a study's datasets and target datasets; files that have not changed are not read again.

    Raises:
        UsageError: a dataset is missing or has no readable description, a label set is missing, has labels of no case
            or an unsound label mapping, the run folder lies in a dataset or holds data, or an earlier version wrote it.
    """
    refuse_unsafe_places(study)
    refuse_older_layout(study.run_folder, is_planned_again=True)
    checked = {}
    for name in dict.fromkeys((*study.content.datasets, *study.content.transfer)):
        description = mark_file(study.data / name / DESCRIPTION)
        dataset = open_dataset(study.data, name)
        cache = make_dataset_folder(study.run_folder, name) / ".check.json"
        check = check_dataset(dataset, study.content.exclude.get(name), cache)
        if name in study.content.datasets:
            check = add_label_sets(check, dict(_check_label_sets(study, dataset, check, cache.parent)))
        warnings = (*check.warnings, *_describe_coverage(study, check), *_describe_unused(study, check))
        checked[name] = replace(check, files={DESCRIPTION: description, **check.files}, warnings=warnings)
    return checked


def _check_label_sets(
    study: Study, dataset: Dataset, check: DatasetCheck, folder: Path
) -> Iterator[tuple[str, LabelSetCheck]]:
    """The check of each label set of a study on a dataset; it is kept in `folder`."""
    for entry in study.content.versions if check.cases else ():
        places = {(study.data / name / entry.labels).resolve(): name for name in reversed(study.content.datasets)}
        if len(places) < len(study.content.datasets):
            raise UsageError(
                f"versions: {entry.name}: must be another folder for each dataset, but `labels: {entry.labels}` is one "
                "for several; give a folder below each dataset's"
            )
        ids = _find_set_mapping(study, entry, dataset.labels).to_target
        cache = folder / f".check-{entry.name}.json"
        yield entry.name, check_label_set(dataset, check.cases, entry.labels, ids, cache)


def _find_mappings(study: Study, dataset: DatasetCheck) -> dict[str, IdMapping]:
    """Label set or generator -> how its label ids become the dataset's."""
    return {
        **{entry.name: _find_set_mapping(study, entry, dataset.labels) for entry in study.content.versions},
        **{g.name: find_id_mapping(g, dataset.labels, study.data / dataset.name) for g in study.generators},
    }


def _find_set_mapping(study: Study, entry: LabelSetEntry, target: dict[int, str]) -> IdMapping:
    return find_set_mapping(study.file.parent / entry.remap if entry.remap else None, target)


def _refuse_lacking_targets(study: Study, mappings: Mapping[str, Mapping[str, IdMapping]]) -> None:
    """Refuse a target dataset whose reference is a label set without some organ: nothing could be tested on it.

    Raises:
        UsageError: names the organ.
    """
    for target in set(study.content.transfer) & set(mappings):
        mapping = mappings[target].get(study.reference)
        if mapping and mapping.unavailable:
            raise UsageError(
                f"transfer: {target}: networks are tested on all its organs, but {study.reference}, the reference, has "
                f"none of {', '.join(mapping.unavailable)}; leave {target} out of `transfer`, or complete the set"
            )


def _describe_coverage(study: Study, dataset: DatasetCheck) -> Iterator[str]:
    """What follows where a label set has labels of some cases only."""
    for name, labels in dataset.label_sets.items():
        if lacking := [case for case in dataset.cases if case not in labels]:
            use = "tested" if name == study.reference else "trained"
            also = " and trained" if name == study.reference else ""
            networks = f"; networks are {use}{also} on these alone" if study.content.train is not None else ""
            if networks and name in study.filled:
                networks = f"; networks are trained on those of {study.reference} where it has none, which is a mixture"
            yield (
                f"{name} has labels of {len(labels)} of {len(dataset.cases)} cases{networks}; without are "
                f"{', '.join(lacking)}"
            )


def _describe_unused(study: Study, dataset: DatasetCheck) -> Iterator[str]:
    """A line where a given split leaves cases out."""
    given = study.content.train and study.content.train.given_split(dataset.name)
    if given and (unused := find_unused(read_given_split(given, study.file.parent), dataset)):
        yield (
            f"{len(unused)} of {len(dataset.cases)} cases are on neither side of the split, so they get label versions "
            f"and scores, but no network sees them: {', '.join(unused)}"
        )


def _split_dataset(
    study: Study, checked: Mapping[str, DatasetCheck], name: str, train: TrainSettings
) -> tuple[Split, ...]:
    """Split a dataset, once or in folds: twins, and cases of one patient, on one side.

    In a target dataset, scans that other datasets train on are not held out.
    """
    known = never_held_out(study, checked, name)
    dataset, is_compared = checked[name], name in study.content.datasets
    testable = dataset.covered(study.reference)
    complete = [version for version in study.versions if version not in study.filled]
    together = [tuple(case for case in group if case in testable) for group in dataset.kept_together]
    if train.folds:
        folds = draw_folds(testable, train, name, train.folds, together)
        return tuple(leave_out_unlabelled(fold, dataset, study.reference, complete) for fold in folds)
    if given := train.given_split(name):
        split = read_given_split(given, study.file.parent)
        if study.content.exclude_leaks:
            split = leave_out_leaks(split, dataset, study.file, known)
        split = use_given_split(split, dataset, study.file, known)
    else:
        split = split_cases(testable, train, name, together, known)
    if not is_compared:
        return (split,)
    labelled = leave_out_unlabelled(split, dataset, study.reference, complete)
    if given and (problems := list(describe_unlearned(labelled, dataset))):
        raise UsageError(list_problems(f"{study.file}: train.split of {name}, of cases with all labels", problems))
    return (labelled,)


def _find_all_marks(study: Study, *, has_held_out: bool) -> dict[str, Marks]:
    """The marks of label versions that tools make, and of sets that the reference labels complete.

    A combination has those of what it combines.
    """
    is_own = study.reference == BASE
    marks = {study.reference: Marks(made_from_reference=True)}
    for generator in sorted(study.generators, key=lambda generator: bool(generator.of)):
        manifest, options = generator.tool.manifest, generator.options
        found = find_marks(manifest, options, has_held_out=has_held_out, is_shown_reference=is_own)
        found = replace(found, made_in_folds=generator.name in made_in_folds(study))
        marks[generator.name] = join_marks(found, *(marks.get(name, Marks()) for name in generator.of))
    filled = dict.fromkeys(study.filled, Marks(made_from_reference=True))
    return filled | {generator.name: marks[generator.name] for generator in study.generators}


def _describe_study(
    study: Study,
    checked: Mapping[str, DatasetCheck],
    mappings: Mapping[str, Mapping[str, IdMapping]],
    splits: Mapping[str, tuple[Split, ...]],
    marks: Mapping[str, Marks],
) -> dict[str, Any]:
    """What the report needs beside results; means are over organs that every generator can give (eq. 3)."""
    datasets = study.content.datasets
    excluded = {
        d: {organ: why for mapping in mappings[d].values() for organ, why in mapping.unavailable.items()}
        for d in datasets
    }
    about: dict[str, Any] = {
        "reference": study.reference,
        "versions": {d: list(study.versions) for d in datasets},
        "covered": {d: {name: list(labels) for name, labels in checked[d].label_sets.items()} for d in datasets},
        "labels": {d: label_table(checked[d]) for d in (*datasets, *study.content.transfer)},
        "common_labels": {
            d: [i for i, organ in checked[d].labels.items() if organ not in excluded[d]] for d in datasets
        },
        "excluded_labels": excluded,
        "marks": {name: asdict(of) for name, of in marks.items()},
        "mix": describe_mix(study),
        "transfer": list(study.content.transfer),
        "verdict": study.content.verdict.model_dump(),
        "cases": {d: list(checked[d].cases) for d in (*datasets, *study.content.transfer)},
        "groups": {d: checked[d].observations for d in (*datasets, *study.content.transfer)},
        "leaks": [asdict(leak) for leak in find_leaks(study, checked)],
    }
    if study.added:
        about[ADDED_TOOLS] = {name: added.model_dump(mode="json") for name, added in study.added.items()}
    if splits and study.content.train:
        listed = {
            d: [{"train": list(split.train), "holdout": list(split.holdout)} for split in of_dataset]
            for d, of_dataset in splits.items()
        }
        if study.content.train.folds:
            about[FOLDS] = listed
        else:
            about["split"] = {d: split for d, (split,) in listed.items()}
        about["seeds"] = list(study.content.train.seeds)
        about["noise_seeds"] = list(study.content.train.noise_seeds)
    return about
