"""The steps that train networks on label versions, fine-tune these on target datasets, and score them all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from contract.manifest import OptionValue
from coordinator.datasets.check import DatasetCheck
from coordinator.study.file import trainer_options
from coordinator.study.generatorsteps import SPLIT, find_labels
from coordinator.study.labelversions import base_step, refuse_unscorable
from coordinator.study.mixtures import fill_step, list_mixtures, mixture_steps
from coordinator.study.planner import Planner, complete_scoring_step, label_table
from coordinator.study.settings import TrainSettings
from coordinator.study.split import Split
from coordinator.study.steps import (
    BASE,
    NO_PRETRAIN,
    Seeds,
    Step,
    dataset_folder,
    name_output,
    network_folders,
    transfer_folder,
)
from coordinator.tools.finding import Tool
from coordinator.tools.options import option_arguments


@dataclass(frozen=True, slots=True)
class Training:
    """What all networks of a study have in common."""

    planner: Planner
    trainer: Tool
    train: TrainSettings

    @property
    def options(self) -> dict[str, OptionValue]:
        """All options of the trainer."""
        return self.trainer.manifest.complete_options(dict(trainer_options(self.train)))

    def seeds(self, network: str) -> tuple[int, ...]:
        """The seeds of a network; more of them on the reference labels where the study has `noise_seeds`."""
        mixtures = {mixture.version: mixture.seeds for mixture in list_mixtures(self.planner.study)}
        seeds = Seeds(self.planner.study.reference, self.train.seeds, self.train.noise_seeds)
        return mixtures.get(network) or seeds.of(network)


@dataclass(frozen=True, slots=True)
class NetworkGroup:
    """Networks that are trained and tested on the same cases, one for each label version and seed.

    Attributes:
        folder: theirs, relative to the run folder.
        dataset: whose cases they are trained and tested on.
        split: of the dataset.
        labels: name of each network -> the label version that it is trained on.
        reference: the reference labels.
        parents: network -> seed -> the network that it is fine-tuned from; empty for those from scratch.
        parent_store: the image store whose spacing, patch and normalisation are kept; None to choose them.
    """

    folder: str
    dataset: DatasetCheck
    split: Split
    labels: Mapping[str, Step]
    reference: Step
    parents: Mapping[str, Mapping[int, Step]]
    parent_store: Step | None = None

    @property
    def split_folder(self) -> str:
        """Where the lists of its cases lie, relative to the run folder."""
        return f"{dataset_folder(self.dataset.name) if self.parent_store else self.folder}/{SPLIT}"


@dataclass(frozen=True, slots=True)
class _TrainerWork:
    """What is special about one step of the trainer.

    Attributes:
        name: of the step in the trainer's manifest.
        version: the network or label version that it is about.
        output: folder, relative to the run folder.
        cases: number of cases, or of epochs.
        options: of the trainer; the step takes those that its manifest names.
        inputs: name below /in -> the step whose output it is, or a folder of the run folder.
        parent: the step whose network or image store it starts from.
        arguments: further ones of the command line.
        dependencies: what the output depends on beside all this.
    """

    name: str
    version: str
    output: str
    cases: int
    options: Mapping[str, OptionValue]
    inputs: Mapping[str, Step | str]
    parent: Step | None = None
    arguments: tuple[str, ...] = ()
    dependencies: Mapping[str, object] = field(default_factory=dict)


def network_steps(
    training: Training,
    checked: Mapping[str, DatasetCheck],
    splits: Mapping[str, Sequence[Split]],
    label_steps: Sequence[Step],
    known: Mapping[str, Mapping[str, Sequence[int]]],
) -> list[Step]:
    """Networks on every label version of each dataset; then fine-tuned from these, and from scratch, on each target.

    Args:
        training: what all networks have in common.
        checked: dataset name -> its check.
        splits: dataset name -> its split, or those of its folds.
        label_steps: the steps that make the label versions.
        known: dataset name -> label version -> the label ids that it can have.
    """
    study, steps = training.planner.study, []
    versions = (study.reference, *study.versions)
    labels = {step.id: step for step in label_steps}
    for target in study.content.transfer:
        if target not in study.content.datasets:
            refuse_unscorable(checked[target])
            steps.append(base_step(checked[target]))
            labels[steps[-1].id] = steps[-1]
    for name in study.content.datasets:
        folder = dataset_folder(name)
        in_domain_steps = []
        for place, split in zip(network_folders(name, len(splits[name])), splits[name], strict=True):
            version_steps = {version: find_labels(labels, name, place, version) for version in versions}
            reference = version_steps[study.reference]
            mixed = mixture_steps(training.planner, checked[name], split, place, labels, known[name])
            mixed |= {v: fill_step(checked[name], split, place, version_steps[v], reference) for v in study.filled}
            in_domain = NetworkGroup(place, checked[name], split, version_steps | mixed, reference, {})
            in_domain_steps += [*mixed.values(), *_group_steps(training, in_domain)]
        steps += in_domain_steps
        models = {step.output: step for step in in_domain_steps}
        for target in study.content.transfer:
            parents = {v: {s: models[f"{folder}/5-models/{v}/seed-{s}"] for s in training.seeds(v)} for v in versions}
            reference = labels[f"{target}/2-labels/{study.reference if target in study.content.datasets else BASE}"]
            steps += _group_steps(training, NetworkGroup(
                transfer_folder(target, name), checked[target], splits[target][0],
                dict.fromkeys((NO_PRETRAIN, *versions), reference), reference, parents,
                models[f"{folder}/4-store/images"],
            ))  # fmt: skip
    return steps


def _group_steps(training: Training, group: NetworkGroup) -> list[Step]:
    """The image store; for each label version its label store; for each network and seed its training and test."""
    options, cases = training.options, len(group.dataset.cases)
    if group.parent_store is not None:
        options |= {"spacing": "median", "patch": "auto", "filters": "auto"}
    image_store = _trainer_step(training, group, _TrainerWork(
        "prepare", "store", f"{group.folder}/4-store/images", cases, options,
        inputs={"split": group.split_folder}, parent=group.parent_store,
        dependencies={
            "data": group.dataset.digests(labels=False), "split": [group.split.train, group.split.holdout]
        },
    ))  # fmt: skip
    steps, label_stores = [image_store], {}
    for labels in {step.id: step for step in group.labels.values()}.values():
        version = labels.label_version
        label_stores[labels.id] = _trainer_step(training, group, _TrainerWork(
            "prepare-labels", version, f"{group.folder}/4-store/{version}", cases, options,
            inputs={"store": image_store, "labels": labels},
        ))  # fmt: skip
        steps.append(label_stores[labels.id])
    reference = label_stores[group.reference.id]
    for network, labels in group.labels.items():
        inputs = {"store": image_store, "labels": label_stores[labels.id], "reference": reference}
        for seed in training.seeds(network):
            steps += _network_steps(training, group, network, inputs, {**options, "seed": seed})
    return steps


def _network_steps(
    training: Training, group: NetworkGroup, network: str, inputs: dict[str, Step], options: dict[str, OptionValue]
) -> list[Step]:
    """Train one network, let it predict the held-out cases, score these against the reference labels."""
    seed, held_out = int(options["seed"]), group.split.holdout
    folder = f"{network}/seed-{seed}"
    model = _trainer_step(training, group, _TrainerWork(
        "train", network, f"{group.folder}/5-models/{folder}", int(options["epochs"]), options, inputs,
        parent=group.parents.get(network, {}).get(seed),
    ))  # fmt: skip
    predictions = _trainer_step(training, group, _TrainerWork(
        "predict", network, f"{group.folder}/6-predictions/{folder}", len(held_out), options,
        inputs={"split": group.split_folder, "model": model},
        arguments=("--cases", "@split/holdout.txt"),
        dependencies={"data": group.dataset.digests(labels=False), "holdout": held_out},
    ))  # fmt: skip
    scores = Step(
        id=f"{predictions.id}/scores", kind="score-predictions", output=f"{predictions.output}/scores.parquet",
        dataset=group.dataset.name, label_version=network, cases=len(held_out), fingerprint="",
        settings={"seed": seed, "cases": list(held_out)},
    )  # fmt: skip
    return [model, predictions, complete_scoring_step(training.planner, scores, group.reference, predictions)]


def _trainer_step(training: Training, group: NetworkGroup, work: _TrainerWork) -> Step:
    manifest, dataset = training.trainer.manifest, group.dataset
    inputs = {**work.inputs, **({} if work.parent is None else {"parent": work.parent})}
    steps = {key: value for key, value in inputs.items() if isinstance(value, Step)}
    options = {key: work.options[key] for key in manifest.option_names(work.name)}
    step = Step(
        id=name_output(work.output), kind="tool", output=work.output, dataset=dataset.name, label_version=work.version,
        fingerprint="", needs=tuple(dict.fromkeys(step.id for step in steps.values())), cases=work.cases,
        shared=manifest.steps[work.name].shared,
        inputs={key: value.output if isinstance(value, Step) else value for key, value in inputs.items()},
        arguments=(
            "--dataset", dataset.name, "--step", work.name, "--label-version", work.version,
            *work.arguments, *option_arguments(options),
        ),
    )  # fmt: skip
    dependencies = {
        **work.dependencies, "before": {key: value.fingerprint for key, value in steps.items()},
        "labels": label_table(dataset),
    }  # fmt: skip
    return training.planner.complete_tool_step(step, training.trainer, dependencies, work.name)
