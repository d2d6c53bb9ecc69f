"""Mixtures: label versions of which some training cases have better labels. How many cases are worth correcting?

    shares x rules ──► which cases have the better labels ──► label version ──► networks, as on any label version

    random      drawn anew for each seed of the networks, so that the noise of the draw is in that of the seeds
    worst       those whose worse labels agree least with the better ones; only who has these can know
    worklist    those whose worse labels agree least with what the other label versions agree on

A larger share of one rule, and of random with one seed, has the cases of the smaller ones and further ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contract.errors import UsageError
from contract.records import digest
from coordinator.datasets.check import DatasetCheck
from coordinator.scoring.agreement import FEWEST
from coordinator.study.entries import MixEntry
from coordinator.study.file import Study, filled_name
from coordinator.study.generatorsteps import made_in_folds
from coordinator.study.labelversions import agreement_step, is_compared
from coordinator.study.marks import Marks
from coordinator.study.planner import SCORING_VERSION, Planner
from coordinator.study.split import Split
from coordinator.study.steps import BASE, Step, agreement_file, name_output

MIX_VERSION = 1
"""Raise it when the choice of cases changes, so that mixtures are made again."""
RANDOM, WORST, WORKLIST = "random", "worst", "worklist"


@dataclass(frozen=True, slots=True)
class Mixture:
    """A label version of which a share of the training cases has the better labels.

    Attributes:
        version: its name; draws of one share and different seeds have different ones.
        rule: by which the cases are chosen.
        share: of the training cases.
        seeds: of the networks that are trained on it; one for a draw.
    """

    version: str
    rule: str
    share: float
    seeds: tuple[int, ...]


def list_mixtures(study: Study) -> list[Mixture]:
    """The mixtures of a study, by rule and share; none where it has none."""
    entry, train = study.content.mix, study.content.train
    if entry is None or train is None:
        return []
    seeds, mixtures = entry.seeds or train.seeds, []
    for rule in entry.by:
        for share in entry.shares:
            name = mixture_name(entry.name, rule, share)
            if rule == RANDOM:
                mixtures += [Mixture(f"{name}-draw-{seed}", rule, share, (seed,)) for seed in seeds]
            else:
                mixtures.append(Mixture(name, rule, share, tuple(seeds)))
    return mixtures


def mixture_name(mix: str, rule: str, share: float) -> str:
    """What the mixtures of a rule and share are called together, such as "corrected-random-25"."""
    return f"{mix}-{rule}-{round(100 * share)}"


def ranking_steps(
    planner: Planner,
    dataset: DatasetCheck,
    versions: Mapping[str, Step],
    known: Mapping[str, Sequence[int]],
    marks: Mapping[str, Marks],
) -> list[Step]:
    """The step that the rule `worklist` needs beside those of all label versions; none without that rule.

    Args:
        planner: of the study.
        dataset: whose label versions.
        versions: label version -> the step that writes it.
        known: label version -> the label ids that it can have.
        marks: of the label versions that tools make.

    Raises:
        UsageError: too few versions could be compared before anything is corrected.
    """
    study, entry = planner.study, planner.study.content.mix
    if entry is None or WORKLIST not in entry.by:
        return []
    unknown = {entry.better, study.reference} - {entry.worse}
    if BASE in unknown:
        made = {g.name for g in study.generators if "labels" in g.tool.manifest.needs}
        made |= {n for n, of in marks.items() if of.made_from_reference or of.prompted_from_reference}
        unknown |= made - set(study.filled)
    compared = {v: s for v, s in versions.items() if v == entry.worse or (v not in unknown and is_compared(study, v))}
    if len(compared) < FEWEST:
        raise UsageError(
            f"mix: `worklist` ranks cases by how far {entry.worse} agrees with what the other label versions agree on, "
            f"before anything is corrected, so without {', '.join(sorted(unknown & versions.keys()))}; it needs at "
            f"least {FEWEST - 1} others, but has {', '.join(v for v in compared if v != entry.worse) or 'none'}"
        )
    return [agreement_step(planner, dataset, compared, known, f"before-{entry.name}")]


def mixture_steps(
    planner: Planner,
    dataset: DatasetCheck,
    split: Split,
    folder: str,
    made: Mapping[str, Step],
    known: Mapping[str, Sequence[int]],
) -> dict[str, Step]:
    """The steps that write the mixtures of a split.

    Args:
        planner: of the study.
        dataset: its check.
        split: whose training cases are mixed.
        folder: of its networks, relative to the run folder.
        made: id -> step, of those that make and score label versions.
        known: label version -> the label ids that it can have.

    Returns:
        Mixture -> the step that writes it.

    Raises:
        UsageError: a share that rounds to no case, or to all; labels that are made anew in each fold.
    """
    entry, name = planner.study.content.mix, dataset.name
    if entry is None:
        return {}
    _refuse_unmixable(planner.study, entry, name, len(split.train))
    better, worse = (made[f"{name}/2-labels/{version}"] for version in (entry.better, entry.worse))
    steps = {}
    for mixture in list_mixtures(planner.study):
        ranking = _find_ranking(planner.study, entry, mixture.rule, name, made)
        count = count_corrected(mixture.share, len(split.train))
        order = {"rule": mixture.rule, "count": count, "cases": list(split.train)}
        if ranking is None:
            order |= {"seed": mixture.seeds[0]}
        else:
            order |= {"version": entry.worse, "labels": sorted(set(known[entry.better]) & set(known[entry.worse]))}
        ranked_by = {} if ranking is None else {"ranking": ranking.output}
        output = f"{folder}/2-labels/{mixture.version}"
        before = [better.fingerprint, worse.fingerprint, _fingerprint_ranking(planner.study, mixture.rule, ranking)]
        steps[mixture.version] = Step(
            id=name_output(output), kind="mix", output=output, dataset=name, label_version=mixture.version,
            cases=len(split.train), settings={"better": better.output, "worse": worse.output, **order, **ranked_by},
            needs=tuple(step.id for step in (better, worse, *([ranking] if ranking else []))),
            fingerprint=digest(["mix", MIX_VERSION, before, order, name_output(output)]),
        )  # fmt: skip
    return steps


def _fingerprint_ranking(study: Study, rule: str, ranking: Step | None) -> object:
    """What an order of cases depends on beside the labels; of scores only what changes Dice, so no tolerance."""
    if ranking is None or rule == WORKLIST:
        return ranking and ranking.fingerprint
    return [SCORING_VERSION, *study.content.score.scoring.labelled_slices]


def fill_step(dataset: DatasetCheck, split: Split, folder: str, labels: Step, reference: Step) -> Step:
    """The step that completes a label set by the reference labels, for the training cases of a split.

    Args:
        dataset: its check, which knows what the set covers.
        split: whose training cases are completed.
        folder: of its networks, relative to the run folder.
        labels: writes the label set.
        reference: writes the reference labels.
    """
    covered = dataset.label_sets[labels.label_version]
    order = {"rule": "missing", "cases": list(split.train), "chosen": [c for c in split.train if c in covered]}
    output = f"{folder}/2-labels/{filled_name(labels.label_version)}"
    return Step(
        id=name_output(output), kind="mix", output=output, dataset=dataset.name, label_version=labels.label_version,
        cases=len(split.train), settings={"better": labels.output, "worse": reference.output, **order},
        needs=(labels.id, reference.id),
        fingerprint=digest(
            ["mix", MIX_VERSION, [labels.fingerprint, reference.fingerprint], order, name_output(output)]
        ),
    )  # fmt: skip


def count_corrected(share: float, training_cases: int) -> int:
    """How many of the training cases have the better labels."""
    return round(share * training_cases)


def _refuse_unmixable(study: Study, entry: MixEntry, dataset: str, training_cases: int) -> None:
    """Refuse labels that are made anew in each fold, and shares that round to no case, or to all."""
    if anew := {entry.better, entry.worse}.intersection(made_in_folds(study)):
        raise UsageError(
            f"mix: must be of labels that are the same in all folds, but {', '.join(sorted(anew))} is made anew in "
            "each; mix others, or leave `folds` out"
        )
    for share in entry.shares:
        count = count_corrected(share, training_cases)
        if not 0 < count < training_cases:
            what = "none" if count == 0 else "all"
            raise UsageError(
                f"mix: shares: each must be some of the {training_cases} cases that networks on {dataset} are trained "
                f"on, but {share:g} is {what} of them; give others"
            )


def _find_ranking(study: Study, entry: MixEntry, rule: str, dataset: str, made: Mapping[str, Step]) -> Step | None:
    """The step whose scores rank the cases."""
    if rule == WORKLIST:
        return made[name_output(agreement_file(dataset, f"before-{entry.name}").removesuffix(".parquet"))]
    if rule == WORST:
        scored = entry.worse if entry.better == study.reference else entry.better
        return made[f"{dataset}/3-scores/{scored}"]
    return None


def describe_mix(study: Study) -> dict[str, object] | None:
    """What the report needs of a study's mixtures; None where it has none."""
    entry = study.content.mix
    if entry is None:
        return None
    drawn_by_people = {BASE, *(each.name for each in study.content.versions)}
    return {
        "name": entry.name, "better": entry.better, "worse": entry.worse, "drawn": entry.better in drawn_by_people,
        "mixtures": [
            {
                "version": m.version, "name": mixture_name(entry.name, m.rule, m.share), "rule": m.rule,
                "share": m.share, "seeds": list(m.seeds),
            }
            for m in list_mixtures(study)
        ],
    }  # fmt: skip
