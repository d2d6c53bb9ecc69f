"""The steps of a generator: one or several of its tool, then the remap of what it wrote to the dataset's ids.

    all cases ──► 1-raw ──► 2-labels                                              most generators, the paper's nnU-Net
    a fold's training cases ──► folds/<n>/1-raw ──► folds/<n>/2-labels ──┬──► join ──► 2-labels
                                                                         └──► the networks of this fold

With `train.folds`, every case is held out once. So a generator that is to learn nothing from held-out cases makes its
labels anew in each fold. For Table 1, and whatever else is said of a label version as a whole, each case's labels are
those of the fold that holds it out: as those of training cases, a network made them that never saw the case's label.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from contract import weights
from contract.errors import UsageError
from contract.manifest import LABEL_VERSIONS, OUTSIDE_INPUTS
from contract.records import digest
from coordinator.datasets.check import DatasetCheck
from coordinator.study.file import Study
from coordinator.study.generators import Generator
from coordinator.study.labelmappings import IdMapping
from coordinator.study.planner import Planner, label_table
from coordinator.study.split import Split
from coordinator.study.steps import FOLDS, Step, dataset_folder, fold_folder, name_output
from coordinator.tools.options import option_arguments

SPLIT = "split"
"""The input of a tool that holds the lists of cases."""
JOIN_VERSION = 1
"""Raise it when joined label versions change, so that they are made again."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the results of a generator lie.

    Attributes:
        folder: relative to the run folder: the dataset's, or that of a fold.
        split: of the cases, for a generator that learns nothing from held-out ones.
    """

    folder: str
    split: Split | None = None


def made_in_folds(study: Study) -> tuple[str, ...]:
    """The label versions that are made anew in each fold: of generators that learn nothing from held-out cases.

    Also of those that combine one of these.
    """
    if study.content.train is None or not study.content.train.folds:
        return ()
    learning = [g.name for g in study.generators if g.tool.manifest.leaves_held_out(g.options)]
    return (*learning, *(g.name for g in study.generators if set(g.of) & set(learning)))


def list_places(study: Study, dataset: str, generator: Generator, splits: Sequence[Split]) -> list[Place]:
    """Where a generator makes labels of a dataset: once, or in each fold.

    Raises:
        UsageError: it is to learn nothing from held-out cases, but the study holds none out.
    """
    if generator.name in made_in_folds(study):
        return [Place(fold_folder(dataset, number), split) for number, split in enumerate(splits)]
    if not generator.tool.manifest.leaves_held_out(generator.options):
        return [Place(dataset_folder(dataset))]
    if not splits:
        training = generator.tool.manifest.trains_on_labels
        options = ", ".join(f"{k}: {v}" for k, v in (training.without_held_out if training else {}).items())
        raise UsageError(
            f"generators: {generator.name} with `{options}` learns nothing from held-out cases, but this study "
            "trains no networks and holds none out; add a section `train`, or leave the option out"
        )
    return [Place(dataset_folder(dataset), splits[0])]


def pseudo_label_steps(
    planner: Planner,
    dataset: DatasetCheck,
    generator: Generator,
    mapping: IdMapping,
    places: Sequence[Place],
    made: Mapping[str, Step],
) -> list[Step]:
    """The steps that make one generator's label version; the last one writes it.

    Args:
        planner: of the study.
        dataset: whose cases.
        generator: its tool, variant and options.
        mapping: how its label ids become the dataset's.
        places: where it makes labels; those of several are joined.
        made: id -> step, of what it may combine.

    Raises:
        UsageError: weights are missing.
    """
    steps: list[Step] = []
    remaps: list[Step] = []
    for place in places:
        combined = {version: find_labels(made, dataset.name, place.folder, version) for version in generator.of}
        at_place = _generator_steps(planner, dataset, generator, place, combined)
        remaps.append(_remap_step(dataset, generator.name, place.folder, at_place[-1], mapping))
        steps += [*at_place, remaps[-1]]
    if len(places) > 1:
        steps.append(_join_step(dataset, generator.name, places, remaps))
    return steps


def find_labels(made: Mapping[str, Step], dataset: str, folder: str, version: str) -> Step:
    """The step that writes a label version for the networks of a folder: that of the fold, or the dataset's.

    Args:
        made: id -> step, of those that make label versions.
        dataset: its name.
        folder: of the networks, relative to the run folder.
        version: name.
    """
    return made.get(f"{name_output(folder)}/2-labels/{version}") or made[f"{dataset}/2-labels/{version}"]


def _remap_step(dataset: DatasetCheck, version: str, folder: str, raw: Step, mapping: IdMapping) -> Step:
    to_target = mapping.to_target
    output = f"{folder}/2-labels/{version}"
    return Step(
        id=name_output(output), kind="remap", output=output,
        needs=(raw.id,), dataset=dataset.name, label_version=version, cases=len(dataset.cases),
        settings={"raw": raw.output, "to_target": {str(k): v for k, v in to_target.items()}},
        fingerprint=digest(["remap", raw.fingerprint, sorted(to_target.items())]),
    )  # fmt: skip


def _join_step(dataset: DatasetCheck, version: str, places: Sequence[Place], remaps: Sequence[Step]) -> Step:
    """The step that takes each case's labels from the fold that holds it out; from the first, where none does."""
    output = f"{dataset_folder(dataset.name)}/2-labels/{version}"
    held_out = [set(place.split.holdout) if place.split else set() for place in places]
    fold_of = {case: next((n for n, cases in enumerate(held_out) if case in cases), 0) for case in dataset.cases}
    parts = [
        {"labels": remap.output, "raw": remap.settings["raw"], "cases": [c for c in dataset.cases if fold_of[c] == n]}
        for n, remap in enumerate(remaps)
    ]
    return Step(
        id=name_output(output), kind="join", output=output, dataset=dataset.name, label_version=version,
        needs=tuple(need for remap in remaps for need in (*remap.needs, remap.id)), cases=len(dataset.cases),
        settings={FOLDS: parts},
        fingerprint=digest(["join", JOIN_VERSION, [remap.fingerprint for remap in remaps], sorted(fold_of.items())]),
    )  # fmt: skip


def _generator_steps(
    planner: Planner, dataset: DatasetCheck, generator: Generator, place: Place, combined: Mapping[str, Step]
) -> list[Step]:
    """The steps of one generator, most often one; the last writes its pseudo-labels.

    Args:
        planner: of the study.
        dataset: whose cases.
        generator: its tool, variant and options.
        place: where its results lie, and from which cases it may learn.
        combined: label version -> the step that writes it, of those that the generator combines.
    """
    names = list(generator.tool.manifest.steps)
    if not names:
        return [_generator_step(planner, dataset, generator, None, {}, place)]
    steps: dict[str, Step] = {}
    for name in names:
        described = generator.tool.manifest.steps[name]
        inputs = {key: steps[source] for key, source in described.inputs.items() if source not in OUTSIDE_INPUTS}
        for key in (key for key, source in described.inputs.items() if source == LABEL_VERSIONS):
            inputs |= {f"{key}/{version}": step for version, step in combined.items()}
        needs_split = SPLIT in {*described.inputs.values(), *described.optional_inputs}
        seen = place if needs_split else replace(place, split=None)
        steps[name] = _generator_step(planner, dataset, generator, name, inputs, seen)
    return list(steps.values())


def _generator_step(
    planner: Planner,
    dataset: DatasetCheck,
    generator: Generator,
    name: str | None,
    inputs: Mapping[str, Step],
    place: Place,
) -> Step:
    """One step of a generator.

    Args:
        planner: of the study.
        dataset: whose cases.
        generator: its tool, variant and options.
        name: of the step in the manifest; None for a tool without steps.
        inputs: name below /in -> the step whose output it is.
        place: where its output lies; with a split where the step's results depend on it.
    """
    manifest = generator.tool.manifest
    shows_labels = "labels" in manifest.reads(name)
    is_last = name is None or name == list(manifest.steps)[-1]
    folder = f"1-raw/{generator.name}" if is_last else f"0-work/{generator.name}/{name}"
    output = f"{place.folder}/{folder}"
    step = Step(
        id=name_output(output), kind="tool", output=output, dataset=dataset.name, label_version=generator.name,
        needs=tuple(step.id for step in inputs.values()), shows_labels=shows_labels, cases=len(dataset.cases),
        fingerprint="",
        inputs={SPLIT: f"{place.folder}/split", **{key: step.output for key, step in inputs.items()}},
        arguments=(
            "--dataset", dataset.name, "--variant", generator.variant, *(("--step", name) if name else ()),
            "--label-version", generator.name, "--cases", "@split/all.txt", *option_arguments(generator.options),
        ),
    )  # fmt: skip
    dependencies = {
        "data": dataset.digests(labels=shows_labels),
        "labels": label_table(dataset),
        "before": {key: step.fingerprint for key, step in inputs.items()},
        "weights": _weights_sha256(planner.study, generator),
        **({} if place.split is None else {"split": [place.split.train, place.split.holdout]}),
    }
    return planner.complete_tool_step(step, generator.tool, dependencies, name)


def _weights_sha256(study: Study, generator: Generator) -> list[str]:
    """The recorded sha256 of each of a generator's trained weights.

    Raises:
        UsageError: some weights are not there, or were never checked.
    """
    tool, sums = generator.tool.name, []
    for entry in generator.tool.manifest.variant(generator.variant).weights:
        sha256 = weights.expected_sha256(entry, tool, study.weights)
        path = study.weights / tool / entry.file
        is_there = entry.package or (path.is_dir() if entry.archive else path.is_file())
        if sha256 is None or not is_there:
            fetch = f"run `coordinator weights fetch {tool}-{generator.variant}`"
            by_hand = f"put them there, and what `sha256sum {entry.file}` prints into {path.parent / 'SHA256SUMS'}"
            raise UsageError(
                f"{path}: weights of {generator.name} must be there and checked, but "
                f"{weights.describe_state(entry, path)}; {by_hand if generator.tool.added else fetch}"
            )
        sums.append(sha256)
    return sums
