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
from dataclasses import dataclass
from typing import Any

import numpy as np

from contract import weights
from contract.errors import UsageError
from contract.manifest import OptionValue
from contract.records import digest
from coordinator.datasets.check import Checked
from coordinator.runners import Runner
from coordinator.study.file import Generator, Study, Train, trainer_options
from coordinator.study.labelspaces import LabelSpace, label_space
from coordinator.study.steps import Plan, Step
from coordinator.tools.finding import Tool

SCORING_VERSION = 2
"""Raised when metrics or tables change, so that scores are computed again."""
CASES_A_WORKER, WORKERS = 8, 4
"""A process that scores takes a second to start, so it should have some cases; and how many there are at most."""
SCORING_MB = 1000
"""Memory of a process that scores: two label maps of 512 x 512 x 600 voxels, and what is made of them."""


@dataclass(frozen=True, slots=True)
class Split:
    """Which cases models are trained on, and which they are tested on; the same for all label versions."""

    train: tuple[str, ...]
    holdout: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Planner:
    """What every step of a study needs to know."""

    study: Study
    runner: Runner
    runtime: str
    weights_present: bool

    def tool_step(self, step: Step, tool: Tool, parts: Mapping[str, object], name: str | None = None) -> Step:
        """Complete a step that a tool does: its resources, its threads, its fingerprint; `name` is the manifest's."""
        resources = tool.manifest.resources
        uses_gpu = resources.gpu != "none" and (name is None or tool.manifest.steps[name].gpu)
        cpus = self.study.content.run.threads or resources.cpus
        arguments = (*step.arguments, "--threads", str(cpus))
        identity = {"tool": self.runner.identity(tool), "runtime": self.runtime, "arguments": arguments}
        return step._replace(
            kind="tool",
            tool=tool.name,
            runtime=self.runtime,
            arguments=arguments,
            cpus=cpus,
            memory_mb=int(resources.memory_gb * 1000),
            gpus=1 if uses_gpu else 0,
            fingerprint=digest({**identity, **parts, "inputs": dict(step.inputs), "output": step.output}),
        )


def make_plan(study: Study, checked: Mapping[str, Checked], runner: Runner, runtime: str) -> Plan:
    """Turn a study into steps.

    Args:
        study: with resolved names.
        checked: dataset name -> what its check found; only sound cases are planned.
        runner: says what the code of each tool is.
        runtime: its name.

    Raises:
        UsageError: a tool is not built, a dataset has no labels or too few cases, a label map is missing.
    """
    planner = Planner(study, runner, runtime, study.weights.is_dir())
    steps: list[Step] = []
    spaces: dict[str, dict[str, LabelSpace]] = {}
    splits: dict[str, Split] = {}
    for name in study.content.datasets:
        dataset = checked[name]
        _refuse_unscorable(dataset)
        spaces[name] = {g.name: label_space(g, dataset.labels, study.data / name) for g in study.generators}
        steps += _label_version_steps(planner, dataset, spaces[name])
    if study.content.train is not None and study.trainer is not None:
        for name in (*study.content.datasets, *study.content.transfer):
            splits[name] = split_cases(checked[name].cases, study.content.train, name)
        steps += _networks(Training(planner, study.trainer, study.content.train), checked, splits, steps)
    return Plan(
        study=study.name,
        data=str(study.data),
        weights=str(study.weights) if planner.weights_present else None,
        steps=tuple(steps),
        about=_about(study, checked, spaces, splits),
    )


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


def _refuse_unscorable(dataset: Checked) -> None:
    if not dataset.labels:
        raise UsageError(
            f"{dataset.name}: a study compares label versions with the dataset's own labels, but it has none "
            "(`labels:` in dataset.yaml is empty); run a generator on it alone with `docker compose run`, or add labels"
        )
    if not dataset.cases:
        raise UsageError(
            f"{dataset.name}: must have at least one sound case, but has none; see `coordinator dataset check`"
        )


def _label_version_steps(planner: Planner, dataset: Checked, spaces: Mapping[str, LabelSpace]) -> list[Step]:
    """Base labels; then for each generator its raw output, the remap, the scores against base."""
    name, count, base = dataset.name, len(dataset.cases), _base_step(dataset)
    steps = [base]
    for generator in planner.study.generators:
        raw = _raw_steps(planner, dataset, generator)
        space = spaces[generator.name]
        remap = Step(
            id=f"{name}/2-labels/{generator.name}", kind="remap", output=f"{name}/2-labels/{generator.name}",
            needs=(raw[-1].id,), dataset=name, label_version=generator.name, cases=count,
            settings={"raw": raw[-1].output, "to_target": {str(k): v for k, v in space.to_target.items()}},
            fingerprint=digest(["remap", raw[-1].fingerprint, sorted(space.to_target.items())]),
        )  # fmt: skip
        steps += [*raw, remap, _score_step(planner, dataset, base, remap)]
    return steps


def _base_step(dataset: Checked) -> Step:
    """The original labels as a label version."""
    output = f"{dataset.name}/2-labels/base"
    return Step(
        id=output, kind="base", output=output, dataset=dataset.name, label_version="base", cases=len(dataset.cases),
        settings={"cases": list(dataset.cases)},
        fingerprint=digest(["base", dataset.digests(labels=True), _table(dataset)]),
    )  # fmt: skip


def _raw_steps(planner: Planner, dataset: Checked, generator: Generator) -> list[Step]:
    """The steps of one generator, most often a single one; the last writes its labels."""
    made: dict[str, Step] = {}
    names: list[str | None] = [*generator.tool.manifest.steps] or [None]
    for name in names:
        place = "1-raw" if name == names[-1] else "0-work"
        output = f"{dataset.name}/{place}/{generator.name}" + ("" if name == names[-1] else f"/{name}")
        made[name or ""] = _raw_step(planner, dataset, generator, (name, output, made))
    return list(made.values())


def _raw_step(
    planner: Planner, dataset: Checked, generator: Generator, which: tuple[str | None, str, Mapping[str, Step]]
) -> Step:
    """One step of a generator: its name in the manifest, where its output goes, the steps that were made before it."""
    name, output, made = which
    manifest = generator.tool.manifest
    shows_labels = "labels" in manifest.reads(name)
    before = {key: made[source] for key, source in manifest.steps[name].inputs.items()} if name else {}
    step = Step(
        id=output, kind="tool", output=output, dataset=dataset.name, label_version=generator.name, fingerprint="",
        needs=tuple(step.id for step in before.values()), shows_labels=shows_labels, cases=len(dataset.cases),
        inputs={"split": f"{dataset.name}/split", **{key: step.output for key, step in before.items()}},
        arguments=(
            "--dataset", dataset.name, "--variant", generator.variant, *(("--step", name) if name else ()),
            "--label-version", generator.name, "--cases", "@split/all.txt", *_options(generator.options),
        ),
    )  # fmt: skip
    reads = {
        "data": dataset.digests(labels=shows_labels),
        "labels": _table(dataset),
        "before": {key: step.fingerprint for key, step in before.items()},
        "weights": _weights(planner.study, generator),
    }
    return planner.tool_step(step, generator.tool, reads, name)


def _weights(study: Study, generator: Generator) -> list[str]:
    """What trained weights a generator has; they are the same as long as their recorded sha256 is.

    Raises:
        UsageError: some are not there.
    """
    tool, found = generator.tool.name, []
    for entry in generator.tool.manifest.variant(generator.variant).weights:
        sha256 = weights.expected_sha256(entry, tool, study.weights)
        if sha256 is None or not (entry.package or weights.locate_weights(entry, tool, study.weights).exists()):
            raise UsageError(
                f"{study.weights / tool / entry.file}: weights of {generator.name} must be there, but are not; "
                f"run `coordinator weights fetch {tool}-{generator.variant}`"
            )
        found.append(sha256)
    return found


def _score_step(planner: Planner, dataset: Checked, base: Step, version: Step) -> Step:
    name = version.label_version
    step = Step(
        id=f"{dataset.name}/3-scores/{name}", kind="score", output=f"{dataset.name}/3-scores/{name}.parquet",
        dataset=dataset.name, label_version=name, cases=len(dataset.cases), fingerprint="",
    )  # fmt: skip
    return _scoring(planner, step, base, version)


def _scoring(planner: Planner, step: Step, base: Step, prediction: Step) -> Step:
    """Complete a step that scores: what it asks, its processes, its fingerprint. No other step has a convention."""
    settings = {
        **step.settings,
        "scoring": planner.study.content.score.scoring.settings(),
        "reference": base.output,
        "prediction": prediction.output,
    }
    workers = max(1, min(step.cases // CASES_A_WORKER, planner.study.content.run.threads or WORKERS))
    return step._replace(
        needs=(base.id, prediction.id),
        settings=settings,
        cpus=workers,
        memory_mb=SCORING_MB * workers,
        fingerprint=digest(["score", SCORING_VERSION, base.fingerprint, prediction.fingerprint, settings]),
    )


NO_PRETRAIN = "no-pretrain"
"""What a network is called that begins from scratch where others begin from trained weights."""


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
    dataset: Checked
    split: Split
    labels: Mapping[str, Step]
    reference: Step
    parents: Mapping[str, Mapping[int, Step]]
    like: Step | None = None


def _networks(
    training: Training, checked: Mapping[str, Checked], splits: Mapping[str, Split], before: list[Step]
) -> list[Step]:
    """Networks on every label version of each dataset; then from each of these, and from scratch, on each target."""
    study, steps = training.planner.study, []
    versions = ("base", *(g.name for g in study.generators))
    labels = {step.id: step for step in before}
    for target in study.content.transfer:
        if target not in study.content.datasets:
            _refuse_unscorable(checked[target])
            steps.append(_base_step(checked[target]))
            labels[steps[-1].id] = steps[-1]
    for name in study.content.datasets:
        learned = {version: labels[f"{name}/2-labels/{version}"] for version in versions}
        own = Course(name, checked[name], splits[name], learned, learned["base"], {})
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
    return [model, predictions, _scoring(training.planner, scores, course.reference, predictions)]


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
            *what.get("arguments", ()), *_options(options),
        ),
    )  # fmt: skip
    parts = {**what.get("parts", {}), "before": {key: value.fingerprint for key, value in before.items()},
             "labels": _table(dataset)}  # fmt: skip
    return training.planner.tool_step(step, training.trainer, parts, name)


def _options(options: Mapping[str, OptionValue]) -> tuple[str, ...]:
    """Options as arguments, all of them, so that a log line says everything."""
    arguments: list[str] = []
    for name, value in options.items():
        if isinstance(value, bool):
            arguments.append(f"--{name}" if value else f"--no-{name}")
        else:
            arguments.append(f"--{name}={value}")
    return tuple(arguments)


def _table(dataset: Checked) -> dict[str, str]:
    return {str(label): organ for label, organ in dataset.labels.items()}


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
        "labels": {d: _table(checked[d]) for d in (*datasets, *study.content.transfer)},
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
