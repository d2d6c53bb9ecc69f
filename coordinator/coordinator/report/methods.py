"""A methods section for a paper on this study, written from the records of the run, with citations."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from contract import yamlfiles
from contract.errors import UsageError
from contract.manifest import Manifest
from coordinator.datasets import known
from coordinator.report.emptymasks import describe_empty_masks
from coordinator.report.references import Bibliography
from coordinator.report.training import describe_attribution
from coordinator.report.works import (
    ADAMW,
    BELL_MCCAFFREY,
    DICE,
    DYNUNET,
    HALL,
    NADEAU_BENGIO,
    STUDY,
    SURFACE_DICE,
    TOST,
)
from coordinator.results.run import Run
from coordinator.statistics.failures import cases_to_exclude
from coordinator.statistics.gains import FEWEST_CASES, fold_factor
from coordinator.study.settings import TrainSettings
from coordinator.study.steps import BASE
from coordinator.tools.added import AddedTool
from coordinator.tools.finding import Tool, find_tools
from coordinator.verdict.mixtures import describe_rules
from coordinator.verdict.observations import describe_sources
from coordinator.verdict.sentences import count_noun, format_margin, join_names
from coordinator.verdict.testplan import FEWEST_VERSIONS, make_test_plan


@dataclass(frozen=True, slots=True)
class Methods:
    """Paragraphs with citations as numbers in brackets, and the references in the order of these numbers."""

    paragraphs: tuple[str, ...]
    bibliography: Bibliography


def write_methods(run: Run) -> Methods:
    """Write the methods section; a dataset is cited as its dataset.yaml says, where this can be read."""
    bibliography = Bibliography()
    paragraphs = [" ".join(_describe_labels(run, bibliography)), " ".join(_describe_scores(run, bibliography))]
    if run.train is not None:
        train = TrainSettings.model_validate(run.train)
        paragraphs.append(" ".join(_describe_training(run, train, bibliography)))
        paragraphs.append(" ".join(describe_attribution(run, train, bibliography.cite(STUDY))))
        paragraphs.append(" ".join((*_describe_statistics(run, bibliography), *_describe_rank_test(run))))
    return Methods(tuple(paragraphs), bibliography)


def _describe_labels(run: Run, cited: Bibliography) -> Iterator[str]:
    yield f"This study asks the question of Jaus et al.{cited.cite(STUDY)} in their way: {_summarise_design(run)}."
    for dataset in run.datasets:
        cases = f"{dataset.sound_cases} cases, " if dataset.sound_cases is not None else ""
        yield (
            f"Dataset {dataset.name}{cited.cite(_citation(run.data, dataset.name))} "
            f"({cases}{count_noun(len(dataset.labels), 'organ')}) has reference labels and "
            f"{count_noun(len(dataset.versions), 'other label version')}: {join_names(dataset.versions)}."
        )
    yield from _describe_label_sets(run)
    tools, manifests = _tools_by_version(run), {name: tool.manifest for name, tool in _installed_tools().items()}
    sets = {BASE, *(name for dataset in run.datasets for name in dataset.covered)}
    for version in (name for name in run.versions if name not in sets):
        if version in tools:
            added = run.added_tools.get(version)
            manifest = added.manifest if added else manifests.get(tools[version].get("tool", ""))
            upstream = _describe_upstream(manifest, tools[version], cited) if manifest else ""
            image = _describe_image(added, tools[version])
            yield f"{version} was made with {_tool_name(tools[version])}{upstream}{image}."
        else:
            yield f"Which tool made {version} was not recorded."
    if sources := describe_sources(run):
        yield f"{sources}."
    if informed := [version for version, marks in run.marks.items() if marks.labeller_saw_held_out]:
        yield (
            f"The networks that labelled the training cases of {join_names(informed)} were trained with labels of "
            "held-out cases as well."
        )
    yield (
        "Label versions were mapped to each dataset's organs by name; organs that some version can't give are left out "
        "of all means."
    )


def _describe_label_sets(run: Run) -> Iterator[str]:
    """What people drew, which labels of them are the reference, and what follows where a set covers some cases only."""
    if run.reference != BASE:
        targets = {transfer.target for transfer in run.transfers} - {dataset.name for dataset in run.datasets}
        but = f", but {join_names(sorted(targets))}'s own where networks are fine-tuned on it" if targets else ""
        yield f"The reference labels are the label set {run.reference}{but}; {BASE} holds the dataset's own labels."
    if others := [name for name in dict.fromkeys(n for d in run.datasets for n in d.covered) if name != run.reference]:
        kind = "is a label set" if len(others) == 1 else "are label sets"
        yield f"{join_names(others)} {kind} that no tool here made."
    if completed := [name for name in others if run.made_from_reference(name)]:
        has = "it has" if len(completed) == 1 else "they have"
        yield (
            f"Networks on {join_names(completed)} were trained on mixtures: on the reference labels where {has} none."
        )
    for dataset in run.datasets:
        partial = {name: len(cases) for name, cases in dataset.covered.items() if len(cases) != dataset.sound_cases}
        if partial:
            counts = join_names([f"{name} of {count_noun(count, 'case')}" for name, count in partial.items()])
            trained = f"; networks were trained on {len(dataset.trained)} that all have" if dataset.splits else ""
            yield f"On {dataset.name}, there are labels in {counts} alone{trained}."


def _summarise_design(run: Run) -> str:
    """What this study does of the paper's design."""
    parts = ["label versions are compared with the reference labels"]
    if run.train is not None:
        parts.append("the same network is trained on each label version and tested against the reference labels")
    if run.transfers:
        parts.append("and then fine-tuned on another dataset")
    return ", ".join(parts)


def _describe_scores(run: Run, cited: Bibliography) -> Iterator[str]:
    yield (
        f"Label maps were compared with the reference labels by Dice{cited.cite(DICE)} and by Surface Dice"
        f"{cited.cite(SURFACE_DICE)} at a tolerance of {run.tolerances}, for each case and organ."
    )
    yield f"Empty masks were scored by the convention {describe_empty_masks(run)}"
    yield (
        "For each organ the mean and the population standard deviation over cases were taken, then the mean over "
        f"organs and the root mean square of their standard deviations, as Jaus et al.{cited.cite(STUDY)} state."
    )


def _describe_training(run: Run, train: TrainSettings, cited: Bibliography) -> Iterator[str]:
    monai = next((t.manifest.upstream for t in _installed_tools().values() if t.manifest.kind == "trainer"), None)
    trainers = list(dict.fromkeys(_tool_name(t.record) for t in run.tools if t.stage == "training"))
    yield (
        f"On each label version the same network, a DynUNet{cited.cite(DYNUNET, monai.citation if monai else '')}"
        f"{f' ({join_names(trainers)})' if trainers else ''}, was trained for {count_noun(train.epochs, 'epoch')} of "
        f"{count_noun(train.batches_per_epoch, 'batch', 'batches')} of "
        f"{count_noun(train.batch_size, 'patch', 'patches')} with AdamW{cited.cite(ADAMW)} and a learning rate that "
        f"falls from {train.learning_rate:g} along a cosine; "
        f"{_name_seeds(run.seeds)}."
    )
    yield _describe_folds(run) if _count_folds(run) > 1 else _describe_split(run, train)
    if run.mix:
        yield f"{describe_rules(run.mix)} Networks were trained on these mixtures, too."
    yield (
        "Networks were tested on the held-out cases against the reference labels, whichever label version they were "
        "trained on."
    )
    if run.transfers:
        targets = [f"{t.target}{cited.cite(_citation(run.data, t.target))}" for t in run.transfers]
        yield (
            f"Trained networks were then fine-tuned on the reference labels of {join_names(targets)}, with patch, "
            "spacing and normalisation as before, and compared with networks trained there from scratch."
        )
    if len(run.seeds) > 1:
        yield "Means are over seeds."
    if run.noise_seeds:
        yield (
            f"On the reference labels, further networks ({_name_seeds(run.noise_seeds)}) showed how much a network "
            "varies with its seed; the mean of the reference labels is over all of theirs."
        )


def _describe_split(run: Run, train: TrainSettings) -> str:
    given = [d.name for d in run.datasets if d.splits and train.given_split(d.name)]
    splits = [
        f"{d.name}: {len(d.trained)} and {len(d.held_out)}{', as given' * (d.name in given)}"
        for d in run.datasets if d.splits
    ]  # fmt: skip
    how = " at random" * (len(given) < len(splits))
    return (
        f"Cases were split{how} into cases for training and held-out cases ({'; '.join(splits)}){_name_groups(run)}; "
        "split, spacing, patch and normalisation were the same for all label versions."
    )


def _count_folds(run: Run) -> int:
    return max((len(dataset.splits) for dataset in run.datasets), default=0)


def _describe_folds(run: Run) -> str:
    cases = "; ".join(f"{d.name}: {count_noun(len(d.held_out), 'case')}" for d in run.datasets if d.splits)
    return (
        f"Each case was held out once, in {_count_folds(run)} folds drawn at random ({cases}){_name_groups(run)}, and "
        "tested by networks that were trained on cases of the other folds; folds, spacing, patch and normalisation "
        "were the same for all label versions."
    )


def _name_groups(run: Run) -> str:
    return ", with cases of one group of dataset.yaml or of one scan together" * any(d.groups for d in run.datasets)


def _name_seeds(seeds: Sequence[int]) -> str:
    """Seeds in a sentence, such as "seeds 0 and 1"."""
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {join_names([str(seed) for seed in seeds])}"


def _describe_statistics(run: Run, cited: Bibliography) -> Iterator[str]:
    settings, plan = run.verdict, make_test_plan(run)
    fewest = cases_to_exclude(settings.failure_rate, (1 - plan.confidence) / 2)
    margins = f"{format_margin(settings.margin)} or {100 * settings.surface_margin:g} of Surface Dice"
    yield (
        "The gain of the reference labels over a label version is the difference in Dice, and in Surface Dice, "
        f"between the networks trained on them, paired by held-out case; organs that fewer than {FEWEST_CASES} cases "
        "have are left out. Its error over cases is that of a regression on organs that is robust for cases as "
        f"clusters{cited.cite(BELL_MCCAFFREY)}; each bound is the wider one of Student's and one corrected for "
        f"skewness{cited.cite(HALL)}. {_describe_dependence(run, cited)}{_describe_seed_noise(run)}"
    )
    parts = [
        count_noun(plan.verdicts, "comparison"),
        *([count_noun(plan.tests, "further test")] if plan.tests else []),
        *([count_noun(plan.curves, "curve of mixtures", "curves of mixtures")] if plan.curves else []),
    ]
    yield (
        f"The {join_names(parts)} of this study share a chance of {100 * settings.alpha:g} % of any wrong "
        f"outcome, so intervals of the mean over organs are of {100 * plan.confidence:.2f} %."
    )
    if run.mix:
        yield (
            "Shares of mixtures are tested from the largest down, each only while all larger ones are shown to be "
            "enough; rules are compared by the mean of each seed's scores over all shares."
        )
    yield (
        f"Better labels are called worth it where an interval lies at or above its margin, {margins}; not worth it "
        f"where both lie below, in at least {fewest} cases. Networks "
        "are called equivalent where the interval in Dice lies within ± "
        f"{format_margin(settings.margin)}{cited.cite(TOST)}."
    )


def _describe_dependence(run: Run, cited: Bibliography) -> str:
    """What is done where cases are no independent observations; empty where they are."""
    sentences = []
    if any(dataset.groups for dataset in run.datasets) or any(transfer.groups for transfer in run.transfers):
        sentences.append(
            "Cases of one group of dataset.yaml, such as a patient, and cases that are one scan count as one. "
        )
    if (folds := _count_folds(run)) > 1:
        sentences.append(
            "Since networks of different folds share training cases, the variance over cases counts "
            f"{fold_factor(folds):.2f} times{cited.cite(NADEAU_BENGIO)}. "
        )
    return "".join(sentences)


def _describe_seed_noise(run: Run) -> str:
    """What the intervals know of other seeds."""
    if len(run.seeds) > 1:
        return (
            "The noise of seeds is each version's own, joined with that of the others unless it is clearly larger, and "
            "added in squares."
        )
    if run.noise_seeds:
        return (
            "The noise of seeds was measured on networks trained on the reference labels and taken for all; it is "
            "added in squares."
        )
    if run.verdict.seed_std is not None:
        return (
            f"A standard deviation of {100 * run.verdict.seed_std:g} Dice points over seeds was taken from: "
            f"{run.verdict.seed_std_source}."
        )
    return "With one seed, intervals hold for these networks only, and no outcome is given."


def _describe_rank_test(run: Run) -> Iterator[str]:
    """The test behind the sentence on whether better labels went with better networks; none with few versions."""
    if all(len(dataset.versions) < FEWEST_VERSIONS for dataset in run.datasets):
        return
    level = f"{100 * make_test_plan(run).share:.2g} %"
    yield (
        f"On each dataset with {FEWEST_VERSIONS} or more label versions, whether better labels go with better networks "
        "was tested by a one-sided permutation test of the rank correlation between the Dice of labels and that of "
        f"networks, in the digits of the tables, at a level of {level}, its share of the report's. It takes label "
        "versions as exchangeable, which versions of one family, such as the sizes of one model, may not be."
    )


def _citation(data: Path | None, dataset: str) -> str:
    """The citation of a dataset: of its dataset.yaml, else of the known public dataset; empty for neither."""
    for file in (*([data / dataset / "dataset.yaml"] if data else []), known.FOLDER / f"{dataset}.yaml"):
        try:
            content = yamlfiles.read(file)
        except UsageError:  # it has no such file, or the check of the data has said what is wrong with it
            continue
        if isinstance(content, dict) and content.get("citation"):
            return str(content["citation"])
    return ""


def _tools_by_version(run: Run) -> Mapping[str, Mapping[str, Any]]:
    """Label version -> what the tool that made it recorded."""
    return {used.version: used.record for used in run.tools if used.makes_labels}


def _tool_name(record: Mapping[str, object]) -> str:
    variant = record.get("variant")
    suffix = f", variant {variant}" if variant not in (None, "default") else ""
    return f"{record.get('tool', 'an unknown tool')} {record.get('version', '')}".strip() + suffix


@cache
def _installed_tools() -> Mapping[str, Tool]:
    """Tools by name; none where there is no folder of tools."""
    try:
        return find_tools()
    except UsageError:
        return {}


def _describe_image(added: AddedTool | None, record: Mapping[str, Any]) -> str:
    """That a tool is a foreign image, which one, and whether it was checked; nothing of a tool of ours."""
    if added is None:
        return ""
    check = added.describe_check(record.get("variant") or added.manifest.default_variant)
    image = added.image if added.id in added.image else f"{added.image} ({added.id})"
    return f", an image that does not belong to this project: {image}, which {check}"


def _describe_upstream(manifest: Manifest, record: Mapping[str, Any], cited: Bibliography) -> str:
    """The name, version and citation of the upstream work of a tool and variant, to be added to a sentence."""
    variant = manifest.variants.get(record.get("variant") or "")
    upstream = (variant and variant.upstream) or manifest.upstream
    if upstream is None:
        return ""
    return f", {upstream.name} {upstream.version}{cited.cite(upstream.citation)}"
