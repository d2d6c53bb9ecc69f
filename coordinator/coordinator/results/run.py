"""A run folder in memory: the plan, the results, what failed, and what is missing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from coordinator.results.failednetworks import FailedNetwork
from coordinator.scoring.schema import AGREEMENT_SCHEMA, SCHEMA, SHELL_SCHEMA
from coordinator.study.leaks import Leak
from coordinator.study.marks import Marks
from coordinator.study.settings import ScoreSettings, VerdictSettings
from coordinator.study.split import Split
from coordinator.study.steps import network_folders
from coordinator.tools.added import AddedTool

LABELS = "labels"
"""The stage of `failures` and `tools` in which generators make labels; with folds, "labels in fold n"."""
NAMES = {"dataset": pl.String, "version": pl.String}
SEED = {"seed": pl.Int64, "fold": pl.Int64}
LABEL_SCORES = {**NAMES, **SCHEMA}
MODEL_SCORES = {**NAMES, **SCHEMA, **SEED}
LABEL_SHELLS = {**NAMES, **SHELL_SCHEMA}
AGREEMENT = {"dataset": pl.String, **AGREEMENT_SCHEMA}
TRAINING_LOGS = {
    **NAMES, **SEED, "epoch": pl.Int64, "loss": pl.Float64, "learning_rate": pl.Float64, "validation_dice": pl.Float64,
}  # fmt: skip
MIX_CASES = {"dataset": pl.String, "version": pl.String, **SEED, "case": pl.String}
FAILURES = {**NAMES, "stage": pl.String, "case": pl.String, "reason": pl.String}
"""The columns that the frames of a run always have."""


@dataclass(frozen=True, slots=True)
class CheckSummary:
    """The outcome of the check of a dataset.

    Attributes:
        cases: how many were checked.
        set_aside: case -> why it takes no part.
        warnings: what is odd, but harmless.
    """

    cases: int
    set_aside: Mapping[str, tuple[str, ...]]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunDataset:
    """A dataset in a run.

    Attributes:
        name: of the dataset.
        versions: label versions in the study's order, without the reference.
        labels: id -> organ.
        common: ids that every generator can give; means are over these.
        excluded: organ -> why it is not common.
        splits: of its cases; none where nothing is trained, several with folds.
        check: None where the check left no record.
        source: where the reference labels come from; empty where that is not recorded.
        covered: label set -> cases that it has labels of.
        groups: case -> the first of its group, such as its patient or its scan, for cases that have one.
    """

    name: str
    versions: tuple[str, ...]
    labels: Mapping[int, str]
    common: tuple[int, ...]
    excluded: Mapping[str, str]
    splits: tuple[Split, ...]
    check: CheckSummary | None
    source: str
    covered: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)

    @property
    def common_organs(self) -> list[str]:
        """Organs that every generator can give."""
        return [self.labels[label] for label in self.common]

    @property
    def sound_cases(self) -> int | None:
        """Number of cases that take part; None where that is not known."""
        return self.check.cases - len(self.check.set_aside) if self.check else None

    def network_folder(self, case: str) -> str:
        """Where the networks lie that a held-out case tests, relative to the run folder."""
        folders = network_folders(self.name, len(self.splits))
        if len(folders) == 1:
            return folders[0]
        return next(place for place, split in zip(folders, self.splits, strict=True) if case in split.holdout)

    @property
    def held_out(self) -> tuple[str, ...]:
        """Its held-out cases, with folds those of all; none where nothing is trained."""
        return tuple(sorted({case for split in self.splits for case in split.holdout}))

    @property
    def trained(self) -> tuple[str, ...]:
        """The cases that networks are trained on, with folds in any of them; none where nothing is trained."""
        return tuple(sorted({case for split in self.splits for case in split.train}))


@dataclass(frozen=True, slots=True, eq=False)
class Transfer:
    """Networks that were trained on label versions, then fine-tuned on a target dataset's reference labels.

    Attributes:
        target: name of the target dataset.
        labels: its ids -> organs.
        held_out: its held-out cases.
        scores: raw scores on these; `dataset` is the one that a network was pre-trained on; empty without scores.
            Those of failed networks are not among them.
        groups: case -> the first of its group, such as its patient or its scan, for cases that have one.
    """

    target: str
    labels: Mapping[int, str]
    held_out: tuple[str, ...]
    scores: pl.DataFrame = field(repr=False)
    groups: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Mix:
    """Mixtures of two label versions, and the networks that were trained on them.

    Attributes:
        name: of the mixtures.
        better: the label version that some training cases have the labels of.
        worse: that of the others.
        drawn: whether people drew the better labels, so that they have a price.
        curves: rule -> share of the training cases -> what its mixtures are called together.
        scores: raw scores of networks, as those of label versions; `version` is that common name.
        cases: the training cases that have the better labels: one row for each dataset, version, seed, fold and case.
        failed_networks: those on mixtures that failed; their scores are not among `scores`.
    """

    name: str
    better: str
    worse: str
    drawn: bool
    curves: Mapping[str, Mapping[float, str]]
    scores: pl.DataFrame = field(repr=False)
    cases: pl.DataFrame = field(repr=False)
    failed_networks: tuple[FailedNetwork, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolRun:
    """Provenance of one folder that a tool wrote; `record` is its `run.json`."""

    dataset: str
    version: str
    stage: str
    record: Mapping[str, Any] = field(repr=False)

    @property
    def makes_labels(self) -> bool:
        """Whether a generator made a label version, or that of one fold."""
        return self.stage.startswith(LABELS)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A run folder in memory. Frames without rows have their columns, too; docs/reference/python.md lists them.

    Attributes:
        study: its name.
        data: the folder of dataset folders; None where the plan does not say.
        score: tolerance and convention.
        verdict: when better labels are worth it, and how sure the report must be.
        train: the study file's section `train`; None where it trains nothing.
        reference: the label version that is the truth: `base`, the datasets' own labels, or a label set.
        seeds: of the networks on each label version.
        noise_seeds: further seeds of the networks on the reference labels, which show the noise of seeds.
        marks: version -> how it depends on the reference labels.
        datasets: in the study's order.
        label_scores: raw scores of label versions against the reference labels, one row for each dataset, version,
            case and organ; the columns of `coordinator.scoring.score_folders` after dataset and version.
        model_scores: the same of networks' predictions of the held-out cases, with `seed` and `fold` (0 where there is
            one split); without failed networks.
        label_shells: voxels around the surface of each organ of the reference labels, and how many of them a label
            version labels: one row for each dataset, version, case, organ and shell. Without rows where a run was
            scored by an earlier release.
        agreement: Dice of each label version, the reference among them, with the consensus of the others: one row for
            each dataset, case, organ and version. Without rows where fewer than three versions can be compared.
        training_logs: one row for each network and epoch: dataset, version, seed, fold, epoch, loss, learning_rate,
            validation_dice.
        failures: one row for each case that a tool could not do: dataset, version, stage, case, reason.
        failed_steps: step -> reason.
        missing: results that were planned, but are not there.
        tools: provenance of everything that tools wrote.
        transfers: one for each target dataset, where networks were trained.
        mix: mixtures of two label versions; None where the study has none.
        failed_networks: in-domain and fine-tuned, with reasons; their scores are in no frame, so that nobody compares
            them.
        added_tools: label version -> what is kept of the foreign image that made it.
        leaks: scans that were, or may have been, trained on and tested with; None where an earlier release planned.
    """

    study: str
    data: Path | None
    score: ScoreSettings
    verdict: VerdictSettings
    train: Mapping[str, Any] | None
    reference: str
    seeds: tuple[int, ...]
    noise_seeds: tuple[int, ...]
    marks: Mapping[str, Marks]
    datasets: tuple[RunDataset, ...]
    label_scores: pl.DataFrame
    label_shells: pl.DataFrame
    model_scores: pl.DataFrame
    agreement: pl.DataFrame
    training_logs: pl.DataFrame
    failures: pl.DataFrame
    failed_steps: Mapping[str, str]
    missing: tuple[str, ...]
    tools: tuple[ToolRun, ...]
    transfers: tuple[Transfer, ...]
    failed_networks: tuple[FailedNetwork, ...]
    mix: Mix | None = None
    added_tools: Mapping[str, AddedTool] = field(default_factory=dict)
    leaks: tuple[Leak, ...] | None = None

    def __repr__(self) -> str:
        """A line for notebooks, where the frames would flood the cell."""
        names = f"{', '.join(dataset.name for dataset in self.datasets)}; {', '.join(self.versions)}"
        rows = (
            f"{self.label_scores.height} label scores, {self.model_scores.height} model scores, "
            f"{self.training_logs.height} epochs"
        )
        gaps = (
            f"{self.failures.height} failed cases, {len(self.failed_networks)} failed networks, "
            f"{len(self.failed_steps)} failed steps, "
            f"{len(self.missing)} results missing"
        )
        return f"<Run {self.study}: {names}; {rows}; {gaps}>"

    @property
    def all_failed_networks(self) -> tuple[FailedNetwork, ...]:
        """Those on label versions and on mixtures."""
        return (*self.failed_networks, *(self.mix.failed_networks if self.mix else ()))

    @property
    def versions(self) -> tuple[str, ...]:
        """Label versions of all datasets, in the study's order, without the reference."""
        return tuple(dict.fromkeys(version for dataset in self.datasets for version in dataset.versions))

    def made_from_reference(self, version: str) -> bool:
        """Whether a label version was made from the reference labels: without these it could not be had."""
        return self.marks.get(version, Marks()).made_from_reference

    @property
    def tolerances(self) -> str:
        """The tolerances of surface Dice in words, for all organs that are scored."""
        labels = [dataset.labels for dataset in self.datasets] + [transfer.labels for transfer in self.transfers]
        return self.score.scoring.describe_tolerances(organ for organs in labels for organ in organs.values())

    @property
    def common_labels(self) -> dict[str, tuple[int, ...]]:
        """Dataset -> labels that means are over."""
        return {dataset.name: dataset.common for dataset in self.datasets}
