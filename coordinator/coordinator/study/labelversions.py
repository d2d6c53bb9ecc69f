"""The steps that make label versions and score them against the reference labels."""

from collections.abc import Iterable, Mapping, Sequence

from contract import weights
from contract.errors import UsageError
from contract.manifest import LABEL_VERSIONS, OUTSIDE_INPUTS
from contract.records import digest
from coordinator.datasets.check import DatasetCheck
from coordinator.scoring.agreement import BYTES_OF_VOXEL, FEWEST
from coordinator.study.entries import LabelSetEntry
from coordinator.study.file import FEWEST_COMBINED, Study
from coordinator.study.generators import Generator
from coordinator.study.labelmappings import IdMapping
from coordinator.study.marks import DEGRADED
from coordinator.study.planner import AGREEMENT_VERSION, Planner, complete_scoring_step, label_table, with_workers
from coordinator.study.split import Split
from coordinator.study.steps import BASE, Step, agreement_file, dataset_folder, name_output
from coordinator.tools.options import option_arguments

SPLIT = "split"
"""The input of a tool that holds the lists of cases."""


def refuse_unscorable(dataset: DatasetCheck) -> None:
    """Refuse a dataset without labels or sound cases.

    Raises:
        UsageError: it has none.
    """
    if not dataset.labels:
        raise UsageError(
            f"{dataset.name}: a study compares label versions with reference labels, but the dataset has none "
            "(`labels:` in dataset.yaml is empty); run a generator on it alone with `docker compose run`, or add labels"
        )
    if not dataset.cases:
        raise UsageError(
            f"{dataset.name}: must have at least one sound case, but has none; see `coordinator dataset check`"
        )


def label_version_steps(
    planner: Planner, dataset: DatasetCheck, mappings: Mapping[str, IdMapping], splits: Sequence[Split]
) -> list[Step]:
    """Labels of people: the dataset's own, and label sets; then what each generator wrote, its remap; all scores.

    Args:
        planner: of the study.
        dataset: whose label versions.
        mappings: label set or generator -> how its label ids become the dataset's.
        splits: of the dataset; none where nothing is trained, several with folds.

    Raises:
        UsageError: weights are missing, or a generator is to learn nothing from held-out cases, but there are none.
    """
    name, count = dataset.name, len(dataset.cases)
    sets = {BASE: base_step(dataset)}
    for entry in planner.study.content.versions:
        sets[entry.name] = _label_set_step(dataset, entry, mappings[entry.name])
    reference = sets[planner.study.reference]
    steps = [*sets.values()]
    steps += [_score_step(planner, dataset, reference, version) for version in sets.values() if version != reference]
    versions = dict(sets)
    for generator in sorted(planner.study.generators, key=lambda generator: bool(generator.of)):
        combined = {name: versions[name] for name in generator.of}
        _refuse_lonely(dataset, generator)
        generator_steps = _generator_steps(planner, dataset, generator, _find_split(generator, splits), combined)
        raw, to_target = generator_steps[-1], mappings[generator.name].to_target
        remap = Step(
            id=f"{name}/2-labels/{generator.name}", kind="remap",
            output=f"{dataset_folder(name)}/2-labels/{generator.name}",
            needs=(raw.id,), dataset=name, label_version=generator.name, cases=count,
            settings={"raw": raw.output, "to_target": {str(k): v for k, v in to_target.items()}},
            fingerprint=digest(["remap", raw.fingerprint, sorted(to_target.items())]),
        )  # fmt: skip
        versions[generator.name] = remap
        steps += [*generator_steps, remap, _score_step(planner, dataset, reference, remap)]
    compared = {v: step for v, step in versions.items() if is_compared(planner.study, v)}
    if len(compared) >= FEWEST:
        steps.append(agreement_step(planner, dataset, compared, list_known(dataset, versions, mappings)))
    return steps


def _refuse_lonely(dataset: DatasetCheck, generator: Generator) -> None:
    """Refuse to combine label versions where cases would have labels of only one of them.

    Raises:
        UsageError: names such cases.
    """
    labelled = [set(dataset.covered(version)) for version in generator.of]
    lonely = [case for case in dataset.cases if sum(case in cases for cases in labelled) < FEWEST_COMBINED]
    if generator.of and lonely:
        raise UsageError(
            f"{dataset.name}: {generator.name} needs labels of {FEWEST_COMBINED} versions of each case, but of "
            f"{', '.join(generator.of)} fewer have {', '.join(lonely)}; name further versions in `of`, "
            "or exclude these cases"
        )


def is_compared(study: Study, version: str) -> bool:
    """Whether labels take part in what versions agree on: not those made worse, nor combinations."""
    return not any(g.name == version and (g.tool.name == DEGRADED or g.of) for g in study.generators)


def list_known(
    dataset: DatasetCheck, versions: Iterable[str], mappings: Mapping[str, IdMapping]
) -> dict[str, list[int]]:
    """Label version -> the dataset's label ids that it can have."""
    unavailable = {version: mappings[version].unavailable if version in mappings else {} for version in versions}
    return {
        version: [label for label, organ in dataset.labels.items() if organ not in organs]
        for version, organs in unavailable.items()
    }


def agreement_step(
    planner: Planner,
    dataset: DatasetCheck,
    versions: Mapping[str, Step],
    known: Mapping[str, Sequence[int]],
    which: str = "",
) -> Step:
    """How far each label version agrees with the consensus of the others.

    Args:
        planner: of the study.
        dataset: whose label versions.
        versions: label version -> the step that writes it, of those to compare.
        known: label version -> the label ids that it can have, of these and maybe others.
        which: the name of this comparison, where there are several.
    """
    known = {version: list(known[version]) for version in versions}
    output = agreement_file(dataset.name, which)
    step = Step(
        id=name_output(output).removesuffix(".parquet"), kind="agreement", output=output, dataset=dataset.name,
        label_version="", fingerprint="", needs=tuple(step.id for step in versions.values()), cases=len(dataset.cases),
        settings={"versions": {version: step.output for version, step in versions.items()}, "known": known},
    )  # fmt: skip
    fingerprints = {version: step.fingerprint for version, step in versions.items()}
    with_memory = with_workers(planner, step)
    return with_memory._replace(
        memory_mb=with_memory.memory_mb
        * (len(versions) + BYTES_OF_VOXEL)
        // 8,  # a scoring process holds two label maps
        fingerprint=digest(["agreement", AGREEMENT_VERSION, fingerprints, known, label_table(dataset)]),
    )


def base_step(dataset: DatasetCheck) -> Step:
    """The dataset's own labels as label version `base`."""
    output = f"{dataset_folder(dataset.name)}/2-labels/{BASE}"
    return Step(
        id=name_output(output), kind="labels", output=output, dataset=dataset.name, label_version=BASE,
        cases=len(dataset.cases),
        settings={"place": "labels", "cases": list(dataset.cases)},
        fingerprint=digest([BASE, dataset.digests(labels=True), label_table(dataset)]),
    )  # fmt: skip


def _label_set_step(dataset: DatasetCheck, entry: LabelSetEntry, mapping: IdMapping) -> Step:
    """A label set of the user as a label version, in the dataset's ids."""
    output, covered = f"{dataset_folder(dataset.name)}/2-labels/{entry.name}", dataset.label_sets[entry.name]
    to_target = sorted(mapping.to_target.items())
    images = [digests[:2] for digests in dataset.digests(labels=False) if digests[0] in covered]
    return Step(
        id=name_output(output), kind="labels", output=output, dataset=dataset.name, label_version=entry.name,
        cases=len(covered),
        settings={
            "place": entry.labels, "cases": list(covered), "to_target": {str(source): i for source, i in to_target},
        },
        fingerprint=digest(["labels", entry.labels, images, sorted(covered.items()), to_target, label_table(dataset)]),
    )  # fmt: skip


def _find_split(generator: Generator, splits: Sequence[Split]) -> Split | None:
    """The split, for a generator whose results depend on it: one that learns nothing from held-out cases.

    Raises:
        UsageError: the study holds no cases out, or others in each fold.
    """
    if not generator.tool.manifest.leaves_held_out(generator.options):
        return None
    training = generator.tool.manifest.trains_on_labels
    options = ", ".join(f"{k}: {v}" for k, v in (training.without_held_out if training else {}).items())
    if len(splits) > 1:
        raise UsageError(
            f"generators: {generator.name} with `{options}` learns nothing from held-out cases, but with `folds` every "
            "case is held out once; leave one of the two out"
        )
    if not splits:
        raise UsageError(
            f"generators: {generator.name} with `{options}` learns nothing from held-out cases, but this study "
            "trains no networks and holds none out; add a section `train`, or leave the option out"
        )
    return splits[0]


def _generator_steps(
    planner: Planner, dataset: DatasetCheck, generator: Generator, split: Split | None, combined: Mapping[str, Step]
) -> list[Step]:
    """The steps of one generator, most often one; the last writes its pseudo-labels.

    Args:
        planner: of the study.
        dataset: whose cases.
        generator: its tool, variant and options.
        split: of the dataset, for a generator whose results depend on it.
        combined: label version -> the step that writes it, of those that the generator combines.
    """
    names = list(generator.tool.manifest.steps)
    if not names:
        return [_generator_step(planner, dataset, generator, None, {}, split)]
    steps: dict[str, Step] = {}
    for name in names:
        described = generator.tool.manifest.steps[name]
        inputs = {key: steps[source] for key, source in described.inputs.items() if source not in OUTSIDE_INPUTS}
        for key in (key for key, source in described.inputs.items() if source == LABEL_VERSIONS):
            inputs |= {f"{key}/{version}": step for version, step in combined.items()}
        needs_split = SPLIT in {*described.inputs.values(), *described.optional_inputs}
        steps[name] = _generator_step(planner, dataset, generator, name, inputs, split if needs_split else None)
    return list(steps.values())


def _generator_step(
    planner: Planner,
    dataset: DatasetCheck,
    generator: Generator,
    name: str | None,
    inputs: Mapping[str, Step],
    split: Split | None,
) -> Step:
    """One step of a generator.

    Args:
        planner: of the study.
        dataset: whose cases.
        generator: its tool, variant and options.
        name: of the step in the manifest; None for a tool without steps.
        inputs: name below /in -> the step whose output it is.
        split: of the dataset, where the step's results depend on it.
    """
    manifest = generator.tool.manifest
    shows_labels = "labels" in manifest.reads(name)
    is_last = name is None or name == list(manifest.steps)[-1]
    folder = f"1-raw/{generator.name}" if is_last else f"0-work/{generator.name}/{name}"
    output = f"{dataset_folder(dataset.name)}/{folder}"
    step = Step(
        id=name_output(output), kind="tool", output=output, dataset=dataset.name, label_version=generator.name,
        needs=tuple(step.id for step in inputs.values()), shows_labels=shows_labels, cases=len(dataset.cases),
        fingerprint="",
        inputs={SPLIT: f"{dataset_folder(dataset.name)}/split", **{key: step.output for key, step in inputs.items()}},
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
        **({} if split is None else {"split": [split.train, split.holdout]}),
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


def _score_step(planner: Planner, dataset: DatasetCheck, reference: Step, version: Step) -> Step:
    name, folder = version.label_version, f"{dataset_folder(dataset.name)}/3-scores"
    scored = dataset.covered(reference.label_version, name)
    if not scored:
        raise UsageError(
            f"{dataset.name}: {name} must have labels of a case that {reference.label_version}, the reference, has "
            "labels of, but they share none; check the names of their files"
        )
    step = Step(
        id=f"{dataset.name}/3-scores/{name}", kind="score", output=f"{folder}/{name}.parquet",
        dataset=dataset.name, label_version=name, fingerprint="",
        cases=len(scored),
        also=(f"{folder}/shells/{name}.parquet",),
    )  # fmt: skip
    return complete_scoring_step(planner, step, reference, version)
