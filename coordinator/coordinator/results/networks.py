"""Reading what networks did: training logs and test scores, of label versions and of mixtures of two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from contract.records import read_run
from coordinator.results.comparability import IDENTITY, find_differences
from coordinator.results.failednetworks import FEWEST_CASES, FailedNetwork, find_failure, find_nothing
from coordinator.results.files import read_failed_cases, read_mapping
from coordinator.results.records import Records, collect_tool, concat, read_frames
from coordinator.results.run import MIX_CASES, MODEL_SCORES, Mix, RunDataset
from coordinator.results.trusted import describe_unscored
from coordinator.study.steps import Seeds, network_folders


@dataclass(frozen=True, slots=True)
class NetworkGroup:
    """Networks that are trained and tested on the same cases.

    Attributes:
        folder: theirs, relative to the run folder.
        dataset: whose label versions they are trained on.
        target: the dataset that they are fine-tuned on; None in-domain.
        organs: id -> organ, of those that means are over.
        held_out: the held-out cases.
        reference: the label version of which networks are compared with all others.
        fold: whose held-out cases these are; None where there is one split.
    """

    folder: str
    dataset: str
    target: str | None
    organs: Mapping[int, str]
    held_out: tuple[str, ...]
    reference: str
    fold: int | None = None

    @property
    def name(self) -> str:
        """Theirs in the report."""
        return f"{self.dataset} to {self.target}" if self.target else self.dataset

    def network(self, version: str, seed: int) -> str:
        """One of them in words."""
        fold = "" if self.fold is None else f", fold {self.fold}"
        return f"the network trained on {version}, seed {seed}{fold}"

    def failed(self, version: str, seed: int, reason: str) -> FailedNetwork:
        """The record of one that failed."""
        return FailedNetwork(self.dataset, self.target, version, seed, reason, self.fold)


def collect_networks(run: Path, dataset: RunDataset, seeds: Seeds, records: Records) -> None:
    """Collect all networks of a dataset, with folds those of each."""
    groups = list_groups(dataset, seeds.reference)
    for group in groups:
        not_stored = read_failed_cases(run, f"{group.folder}/4-store/images/status.jsonl")
        records.failures += [(dataset.name, "all", "training", case, reason) for case, reason in not_stored]
        for version in (seeds.reference, *dataset.versions):
            for seed in seeds.of(version):
                collect_network(run, group, version, seed, records)
    _judge_folds(dataset, groups, records)


def list_groups(dataset: RunDataset, reference: str) -> list[NetworkGroup]:
    """The networks of a dataset's split, or those of each of its folds."""
    common = {label: dataset.labels[label] for label in dataset.common}
    folders, is_folded = network_folders(dataset.name, len(dataset.splits)), len(dataset.splits) > 1
    return [
        NetworkGroup(place, dataset.name, None, common, split.holdout, reference, fold if is_folded else None)
        for fold, (place, split) in enumerate(zip(folders, dataset.splits, strict=True))
    ]


def collect_network(
    run: Path, group: NetworkGroup, version: str, seed: int, records: Records, name: str | None = None
) -> None:
    """Collect the training log and test scores of one network, and what the trainer recorded; name it if it failed.

    Args:
        run: the run folder.
        group: whose network.
        version: the label version that it was trained on.
        seed: of its training.
        records: to which all is added.
        name: what the frames call the label version, where that is not its own name.
    """
    version, folder = name or version, version
    model, predictions = (f"{group.folder}/{stage}/{folder}/seed-{seed}" for stage in ("5-models", "6-predictions"))
    network = group.network(version, seed)
    collect_tool(run, model, (group.name, version, "training"), records)
    collect_tool(run, predictions, (group.name, version, "prediction"), records)
    names = [pl.lit(group.dataset).alias("dataset"), pl.lit(version).alias("version"), pl.lit(seed).alias("seed")]
    names.append(pl.lit(group.fold or 0, pl.Int64).alias("fold"))
    for log in read_frames(run, f"{model}/log.parquet", f"{group.name}: training log of {network}", records):
        records.logs.append(log.with_columns(names))
    if failure := read_mapping(run, f"{model}/{IDENTITY}").get("failure"):
        records.failed_networks.append(group.failed(version, seed, failure))
        return
    if differences := find_differences(run / model, run / group.folder / "5-models" / group.reference / f"seed-{seed}"):
        records.missing.append(
            f"{group.name}: {network} is not compared, since more than its labels differs from {group.reference}'s: "
            f"{'; '.join(differences)}"
        )
        return
    what = f"{group.name}: test scores of {network}"
    failed = dict(read_failed_cases(run, f"{predictions}/status.jsonl"))
    for scores in read_frames(run, f"{predictions}/scores.parquet", what, records):
        records.missing += describe_unscored(scores, group.held_out, failed, what)
        if failure := _find_failure(scores, group):
            records.failed_networks.append(group.failed(version, seed, failure))
        else:
            records.model_scores.append(scores.with_columns(names))


def _find_failure(scores: pl.DataFrame, group: NetworkGroup) -> str | None:
    """Why a network failed; that of a fold is judged alone only where it found nothing in several cases.

    A fold may have one or two cases, in which a network that learned well may miss an organ.
    """
    if group.fold is None:
        return find_failure(scores, group.organs, len(group.held_out))
    nothing = find_nothing(scores, group.organs)
    return nothing if len(group.held_out) >= FEWEST_CASES else None


def _judge_folds(dataset: RunDataset, groups: Sequence[NetworkGroup], records: Records) -> None:
    """Judge each seed by the scores of all its folds; drop one that failed, or whose scores are not those of all folds.

    The mean of such a seed over all cases is not known.
    """
    if len(groups) < 2:
        return
    failed = {(n.version, n.seed) for n in records.failed_networks if (n.dataset, n.target) == (dataset.name, None)}
    networks: dict[tuple[str, int], list[pl.DataFrame]] = {}
    kept = []
    for scores in records.model_scores:
        if scores["dataset"][0] == dataset.name:
            networks.setdefault((scores["version"][0], scores["seed"][0]), []).append(scores)
        else:
            kept.append(scores)
    for (version, seed), parts in networks.items():
        if (version, seed) in failed:
            continue
        if len(parts) < len(groups):
            records.missing.append(
                f"{dataset.name}: the networks trained on {version}, seed {seed}, are compared with none, since only "
                f"{len(parts)} of {len(groups)} folds have scores"
            )
        elif failure := find_failure(pl.concat(parts), groups[0].organs, len(dataset.held_out)):
            records.failed_networks.append(FailedNetwork(dataset.name, None, version, seed, failure))
        else:
            kept += parts
    records.model_scores = kept


def read_mix(
    run: Path, about: Mapping[str, Any], datasets: tuple[RunDataset, ...], reference: str, records: Records
) -> Mix | None:
    """Read the networks that were trained on mixtures; None where the study has none.

    Args:
        run: the run folder.
        about: what the plan says of the mixtures; empty for none.
        datasets: of the run.
        reference: the label version that is the truth.
        records: to which logs, failures and what is missing are added.
    """
    if not about:
        return None
    own = replace(records, model_scores=[], failed_networks=[])
    curves: dict[str, dict[float, str]] = {}
    cases: list[tuple[object, ...]] = []
    for mixture in about["mixtures"]:
        curves.setdefault(mixture["rule"], {})[mixture["share"]] = mixture["name"]
        for dataset in datasets:
            for group in list_groups(dataset, reference):
                folder = run / group.folder / "2-labels" / mixture["version"]
                for seed in mixture["seeds"]:
                    collect_network(run, group, mixture["version"], seed, own, mixture["name"])
                    row = (dataset.name, mixture["name"], seed, group.fold or 0)
                    cases += [(*row, case) for case in read_run(folder).get("better_cases", ())]
    for dataset in datasets:
        _judge_folds(dataset, list_groups(dataset, reference), own)
    return Mix(
        about["name"], about["better"], about["worse"], about["drawn"], curves,
        scores=concat(own.model_scores, MODEL_SCORES), cases=pl.DataFrame(cases, MIX_CASES, orient="row"),
        failed_networks=tuple(own.failed_networks),
    )  # fmt: skip
