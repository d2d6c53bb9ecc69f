"""The steps that make label versions and score them against the reference labels."""

from collections.abc import Mapping

from contract import weights
from contract.errors import UsageError
from contract.records import digest
from coordinator.datasets.check import DatasetCheck
from coordinator.study.file import Generator, Study
from coordinator.study.labelspaces import LabelSpace
from coordinator.study.planner import Planner, label_table, scoring_step
from coordinator.study.steps import BASE, Step
from coordinator.tools.options import option_arguments


def refuse_unscorable(dataset: DatasetCheck) -> None:
    """Refuse a dataset without labels or sound cases.

    Raises:
        UsageError: it has none.
    """
    if not dataset.labels:
        raise UsageError(
            f"{dataset.name}: a study compares label versions with the dataset's own labels, but it has none "
            "(`labels:` in dataset.yaml is empty); run a generator on it alone with `docker compose run`, or add labels"
        )
    if not dataset.cases:
        raise UsageError(
            f"{dataset.name}: must have at least one sound case, but has none; see `coordinator dataset check`"
        )


def label_version_steps(planner: Planner, dataset: DatasetCheck, spaces: Mapping[str, LabelSpace]) -> list[Step]:
    """Base labels; then for each generator its raw output, the remap, the scores against base."""
    name, count, base = dataset.name, len(dataset.cases), base_step(dataset)
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


def base_step(dataset: DatasetCheck) -> Step:
    """The original labels as a label version."""
    output = f"{dataset.name}/2-labels/base"
    return Step(
        id=output, kind=BASE, output=output, dataset=dataset.name, label_version=BASE, cases=len(dataset.cases),
        settings={"cases": list(dataset.cases)},
        fingerprint=digest([BASE, dataset.digests(labels=True), label_table(dataset)]),
    )  # fmt: skip


def _raw_steps(planner: Planner, dataset: DatasetCheck, generator: Generator) -> list[Step]:
    """The steps of one generator, most often a single one; the last writes its labels."""
    made: dict[str, Step] = {}
    names: list[str | None] = [*generator.tool.manifest.steps] or [None]
    for name in names:
        place = "1-raw" if name == names[-1] else "0-work"
        output = f"{dataset.name}/{place}/{generator.name}" + ("" if name == names[-1] else f"/{name}")
        made[name or ""] = _raw_step(planner, dataset, generator, (name, output, made))
    return list(made.values())


def _raw_step(
    planner: Planner, dataset: DatasetCheck, generator: Generator, which: tuple[str | None, str, Mapping[str, Step]]
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
            "--label-version", generator.name, "--cases", "@split/all.txt", *option_arguments(generator.options),
        ),
    )  # fmt: skip
    reads = {
        "data": dataset.digests(labels=shows_labels),
        "labels": label_table(dataset),
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


def _score_step(planner: Planner, dataset: DatasetCheck, base: Step, version: Step) -> Step:
    name = version.label_version
    step = Step(
        id=f"{dataset.name}/3-scores/{name}", kind="score", output=f"{dataset.name}/3-scores/{name}.parquet",
        dataset=dataset.name, label_version=name, cases=len(dataset.cases), fingerprint="",
    )  # fmt: skip
    return scoring_step(planner, step, base, version)
