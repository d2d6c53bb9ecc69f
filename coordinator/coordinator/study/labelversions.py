"""The steps that make label versions and score them against the reference labels."""

from collections.abc import Iterable, Mapping, Sequence

from contract.errors import UsageError
from contract.records import digest
from coordinator.datasets.check import DatasetCheck
from coordinator.scoring.agreement import BYTES_OF_VOXEL, FEWEST
from coordinator.study.entries import LabelSetEntry
from coordinator.study.file import FEWEST_COMBINED, Study
from coordinator.study.generators import Generator
from coordinator.study.generatorsteps import list_places, pseudo_label_steps
from coordinator.study.labelmappings import IdMapping
from coordinator.study.marks import DEGRADED
from coordinator.study.planner import AGREEMENT_VERSION, Planner, complete_scoring_step, label_table, with_workers
from coordinator.study.split import Split
from coordinator.study.steps import BASE, Step, agreement_file, dataset_folder, name_output


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
    name = dataset.name
    sets = {BASE: base_step(dataset)}
    for entry in planner.study.content.versions:
        sets[entry.name] = _label_set_step(dataset, entry, mappings[entry.name])
    reference = sets[planner.study.reference]
    steps = [*sets.values()]
    steps += [_score_step(planner, dataset, reference, version) for version in sets.values() if version != reference]
    versions, made = dict(sets), {step.id: step for step in sets.values()}
    for generator in sorted(planner.study.generators, key=lambda generator: bool(generator.of)):
        _refuse_lonely(dataset, generator)
        places = list_places(planner.study, name, generator, splits)
        generator_steps = pseudo_label_steps(planner, dataset, generator, mappings[generator.name], places, made)
        versions[generator.name] = generator_steps[-1]
        made |= {step.id: step for step in generator_steps}
        steps += [*generator_steps, _score_step(planner, dataset, reference, generator_steps[-1])]
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
