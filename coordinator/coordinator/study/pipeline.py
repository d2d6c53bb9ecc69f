"""READ THIS FIRST. How a study becomes steps.

    images, labels ──► base ──────────────────────────────────────────────┐
         │                                                                ├──► score ──► Table 1
         └──► tool (a generator, in one step or several) ──► remap ──► labels ─┘
                                                   │
    images ──► prepare (once) ──► prepare-labels ◄─┘
                   └──► train ◄────────┘
                          ├──► predict the held-out cases ──► score-predictions ──► Fig. 2
                          └──► the same on another dataset, from these weights ──► Tables 2 and 3

    RUN/<dataset>/0-work/<generator>/<step>/          what earlier steps of a generator made, such as trained folds
    RUN/<dataset>/1-raw/<generator>/                  what the generator wrote, in its own label ids
    RUN/<dataset>/2-labels/<version>/                 the dataset's ids; `base` is the original
    RUN/<dataset>/3-scores/<version>.parquet
    RUN/<dataset>/4-store/{images,<version>}/         resampled once for all versions
    RUN/<dataset>/5-models/<version>/seed-<n>/
    RUN/<dataset>/6-predictions/<version>/seed-<n>/   + scores.parquet
    RUN/transfer/<target>/<dataset>/…                 the same of networks that begin where those of <dataset> ended

A step's fingerprint is the digest of all that its output depends on: the code of its tool, its arguments, the bytes
of the cases it reads, and the fingerprints of the steps before it. A step whose fingerprint changed is redone, nothing
else.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from contract.datasets import open_dataset
from contract.errors import UsageError
from coordinator.datasets.check import Checked, check_dataset
from coordinator.runners import Runner
from coordinator.runners.choose import choose_runner
from coordinator.study.file import Study, Train
from coordinator.study.labelspaces import LabelSpace, label_space
from coordinator.study.labelversions import label_version_steps, refuse_unscorable
from coordinator.study.networks import Training, network_steps
from coordinator.study.planner import Planner, Split, label_table
from coordinator.study.steps import Plan, Step


def make_plan(study: Study, checked: Mapping[str, Checked] | None = None, runner: Runner | None = None) -> Plan:
    """Turn a study into steps.

    Args:
        study: with resolved names.
        checked: dataset name -> what its check found, and only sound cases are planned; `check_datasets(study)` when
            None.
        runner: how tools are started, which says what the code of each tool is; as the study says when None.

    Returns:
        The plan, whose `steps` come in an order in which they could be done. Nothing is started. Only the check of the
        datasets writes: into the study's run folder, so that the next check is fast.

    Raises:
        UsageError: a tool is not built, a dataset has no labels or too few cases, a label map is missing.
    """
    if checked is None:
        checked = check_datasets(study)
    if runner is None:
        runner = choose_runner(study.content.run.runtime, study.tools)
    planner = Planner(study, runner, study.weights.is_dir())
    steps: list[Step] = []
    spaces: dict[str, dict[str, LabelSpace]] = {}
    splits: dict[str, Split] = {}
    for name in study.content.datasets:
        dataset = checked[name]
        refuse_unscorable(dataset)
        spaces[name] = {g.name: label_space(g, dataset.labels, study.data / name) for g in study.generators}
        steps += label_version_steps(planner, dataset, spaces[name])
    if study.content.train is not None and study.trainer is not None:
        for name in (*study.content.datasets, *study.content.transfer):
            splits[name] = split_cases(checked[name].cases, study.content.train, name)
        steps += network_steps(Training(planner, study.trainer, study.content.train), checked, splits, steps)
    return Plan(
        study=study.name,
        data=str(study.data),
        weights=str(study.weights) if planner.weights_present else None,
        steps=tuple(steps),
        about=_about(study, checked, spaces, splits),
    )


def check_datasets(study: Study) -> dict[str, Checked]:
    """Read every file of a study's datasets and target datasets; files that were read before are not read again.

    Raises:
        UsageError: a dataset is missing or has no readable description.
    """
    checked = {}
    for name in dict.fromkeys((*study.content.datasets, *study.content.transfer)):
        cache = study.run_folder / name / ".check.json"
        cache.parent.mkdir(parents=True, exist_ok=True)
        checked[name] = check_dataset(open_dataset(study.data, name), study.content.exclude.get(name), cache)
    return checked


def split_cases(cases: tuple[str, ...], train: Train, dataset: str) -> Split:
    """Set cases aside for testing, at random by `split_seed`, whatever the label versions are.

    Raises:
        UsageError: fewer than two cases.
    """
    if len(cases) < 2:
        raise UsageError(
            f"{dataset}: training needs at least 2 sound cases (one is held out), but there are {len(cases)}"
        )
    held = min(max(round(train.holdout * len(cases)), 1), len(cases) - 1)
    order = np.random.Generator(np.random.Philox(key=train.split_seed)).permutation(len(cases))
    holdout = sorted(cases[i] for i in order[:held])
    return Split(train=tuple(sorted(set(cases) - set(holdout))), holdout=tuple(holdout))


def _about(
    study: Study,
    checked: Mapping[str, Checked],
    spaces: Mapping[str, Mapping[str, LabelSpace]],
    splits: Mapping[str, Split],
) -> dict[str, Any]:
    """What the report needs beside results; eq. 3: only organs that every generator can have are compared."""
    datasets = study.content.datasets
    excluded = {d: {o: why for s in spaces[d].values() for o, why in s.unavailable.items()} for d in datasets}
    about: dict[str, Any] = {
        "versions": {d: [g.name for g in study.generators] for d in datasets},
        "labels": {d: label_table(checked[d]) for d in (*datasets, *study.content.transfer)},
        "common_labels": {
            d: [i for i, organ in checked[d].labels.items() if organ not in excluded[d]] for d in datasets
        },
        "excluded_labels": excluded,
        "prompts": {g.name: g.tool.manifest.prompts for g in study.generators},
        "transfer": list(study.content.transfer),
        "verdict": study.content.verdict.model_dump(),
        "cases": {d: list(checked[d].cases) for d in (*datasets, *study.content.transfer)},
    }
    if splits and study.content.train:
        about["split"] = {d: {"train": list(s.train), "holdout": list(s.holdout)} for d, s in splits.items()}
        about["seeds"] = list(study.content.train.seeds)
    return about
