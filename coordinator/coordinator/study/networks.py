"""The steps that train networks on label versions, and from these on target datasets, and score them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contract.manifest import OptionValue
from coordinator.datasets.check import DatasetCheck
from coordinator.study.file import Train, trainer_options
from coordinator.study.labelversions import base_step, refuse_unscorable
from coordinator.study.planner import Planner, Split, label_table, scoring_step
from coordinator.study.steps import BASE, NO_PRETRAIN, Step
from coordinator.tools.finding import Tool
from coordinator.tools.options import option_arguments


@dataclass(frozen=True, slots=True)
class Training:
    """What all networks of a study have in common."""

    planner: Planner
    trainer: Tool
    train: Train

    @property
    def options(self) -> dict[str, OptionValue]:
        """All options of the trainer."""
        return self.trainer.manifest.complete_options(dict(trainer_options(self.train)))


@dataclass(frozen=True, slots=True)
class Course:
    """Networks that learn the same thing, side by side.

    Attributes:
        place: their folder in the run folder.
        dataset: whose cases they learn.
        split: of the dataset.
        labels: name of each network -> the label version that it learns.
        reference: the original labels.
        parents: network -> seed -> the trained network that it begins from; empty for those from scratch.
        like: the image store whose spacing, patch and normalisation are kept; None to choose them.
    """

    place: str
    dataset: DatasetCheck
    split: Split
    labels: Mapping[str, Step]
    reference: Step
    parents: Mapping[str, Mapping[int, Step]]
    like: Step | None = None


def network_steps(
    training: Training, checked: Mapping[str, DatasetCheck], splits: Mapping[str, Split], before: list[Step]
) -> list[Step]:
    """Networks on every label version of each dataset; then from each of these, and from scratch, on each target."""
    study, steps = training.planner.study, []
    versions = (BASE, *(g.name for g in study.generators))
    labels = {step.id: step for step in before}
    for target in study.content.transfer:
        if target not in study.content.datasets:
            refuse_unscorable(checked[target])
            steps.append(base_step(checked[target]))
            labels[steps[-1].id] = steps[-1]
    for name in study.content.datasets:
        learned = {version: labels[f"{name}/2-labels/{version}"] for version in versions}
        own = Course(name, checked[name], splits[name], learned, learned[BASE], {})
        course_steps = _course_steps(training, own)
        steps += course_steps
        models = {step.output: step for step in course_steps}
        parents = {v: {s: models[f"{name}/5-models/{v}/seed-{s}"] for s in training.train.seeds} for v in versions}
        for target in study.content.transfer:
            base = labels[f"{target}/2-labels/base"]
            steps += _course_steps(training, Course(
                f"transfer/{target}/{name}", checked[target], splits[target],
                dict.fromkeys((NO_PRETRAIN, *versions), base), base, parents, models[f"{name}/4-store/images"],
            ))  # fmt: skip
    return steps


def _course_steps(training: Training, course: Course) -> list[Step]:
    """The image store; for each label version its label store; for each network and seed model, predictions, scores."""
    options, cases = training.options, len(course.dataset.cases)
    split = f"{course.dataset.name}/split"
    if course.like is not None:
        options |= {"spacing": "median", "patch": "auto", "filters": "auto"}
    store = _trainer_step(training, course, ("prepare", "store", f"{course.place}/4-store/images"), {
        "options": options, "inputs": {"split": split}, "parent": course.like, "cases": cases,
        "parts": {"data": course.dataset.digests(labels=False), "split": [course.split.train, course.split.holdout]},
    })  # fmt: skip
    steps, stores = [store], {}
    for labels in {step.id: step for step in course.labels.values()}.values():
        name = labels.label_version
        which = ("prepare-labels", name, f"{course.place}/4-store/{name}")
        stores[labels.id] = _trainer_step(training, course, which, {
            "options": options, "inputs": {"store": store, "labels": labels}, "cases": cases,
        })  # fmt: skip
        steps.append(stores[labels.id])
    reference = stores[course.reference.id]
    for network, labels in course.labels.items():
        inputs = {"store": store, "labels": stores[labels.id], "reference": reference}
        for seed in training.train.seeds:
            steps += _model_steps(training, course, network, inputs, {**options, "seed": seed})
    return steps


def _model_steps(
    training: Training, course: Course, network: str, inputs: dict[str, Step], options: dict[str, OptionValue]
) -> list[Step]:
    """Train one network, let it predict the held-out cases, score these against the original labels."""
    seed = int(options["seed"])
    place = f"{network}/seed-{seed}"
    model = _trainer_step(training, course, ("train", network, f"{course.place}/5-models/{place}"), {
        "options": options, "inputs": inputs, "parent": course.parents.get(network, {}).get(seed),
        "cases": int(options["epochs"]),
    })  # fmt: skip
    predictions = _trainer_step(training, course, ("predict", network, f"{course.place}/6-predictions/{place}"), {
        "options": options, "inputs": {"split": f"{course.dataset.name}/split", "model": model},
        "cases": len(course.split.holdout), "arguments": ("--cases", "@split/holdout.txt"),
        "parts": {"data": course.dataset.digests(labels=False), "holdout": course.split.holdout},
    })  # fmt: skip
    scores = Step(
        id=f"{predictions.id}/scores", kind="score-predictions", output=f"{predictions.output}/scores.parquet",
        dataset=course.dataset.name, label_version=network, cases=len(course.split.holdout), settings={"seed": seed},
        fingerprint="",
    )  # fmt: skip
    return [model, predictions, scoring_step(training.planner, scores, course.reference, predictions)]


def _trainer_step(training: Training, course: Course, which: tuple[str, str, str], what: Mapping[str, Any]) -> Step:
    """A step of the trainer: its name, the network or label version, its output; of `inputs`, steps are needed."""
    name, version, output = which
    manifest, dataset = training.trainer.manifest, course.dataset
    inputs: dict[str, Step | str] = dict(what["inputs"])
    if what.get("parent") is not None:
        inputs["parent"] = what["parent"]
    before = {key: value for key, value in inputs.items() if isinstance(value, Step)}
    options = {key: what["options"][key] for key in manifest.option_names(name)}
    step = Step(
        id=output, kind="tool", output=output, dataset=dataset.name, label_version=version, fingerprint="",
        needs=tuple(dict.fromkeys(step.id for step in before.values())), cases=what["cases"],
        shared=manifest.steps[name].shared,
        inputs={key: value.output if isinstance(value, Step) else value for key, value in inputs.items()},
        arguments=(
            "--dataset", dataset.name, "--step", name, "--label-version", version,
            *what.get("arguments", ()), *option_arguments(options),
        ),
    )  # fmt: skip
    parts = {**what.get("parts", {}), "before": {key: value.fingerprint for key, value in before.items()},
             "labels": label_table(dataset)}  # fmt: skip
    return training.planner.tool_step(step, training.trainer, parts, name)
