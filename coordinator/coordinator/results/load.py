"""Reading a run folder: all that the report says comes from here, and nothing that differs between two equal runs.

Any step may have failed, so any file but the study and its plan may be missing; what is missing is listed, not guessed.
Times, memory and places on disk are left behind: the report of the same results is the same bytes.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from contract import yamlfiles
from contract.errors import UsageError
from contract.records import read_run
from coordinator.results.guard import IDENTITY, unequal
from coordinator.study.file import Score, Verdict
from coordinator.study.pipeline import NO_PRETRAIN

BASE = "base"


@dataclass(frozen=True, slots=True)
class Check:
    """What the check of a dataset found.

    Attributes:
        cases: how many it looked at.
        set_aside: case -> why it takes no part.
        warnings: what is odd, but harmless.
    """

    cases: int
    set_aside: Mapping[str, tuple[str, ...]]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """Cases that models are trained on and cases that they are tested on."""

    train: tuple[str, ...]
    holdout: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dataset:
    """What was planned for a dataset.

    Attributes:
        name: of the dataset.
        versions: label versions in the study's order, without base.
        labels: id -> organ.
        common: ids that every generator can have; means are over these.
        excluded: organ -> why it is not common.
        split: None where nothing is trained.
        check: None where the check left no record.
        source: where the base labels come from; empty where that is not recorded.
    """

    name: str
    versions: tuple[str, ...]
    labels: Mapping[int, str]
    common: tuple[int, ...]
    excluded: Mapping[str, str]
    split: Split | None
    check: Check | None
    source: str

    @property
    def common_organs(self) -> list[str]:
        """Organs that every generator can have."""
        return [self.labels[label] for label in self.common]

    @property
    def sound_cases(self) -> int | None:
        """How many cases take part; None where that is not known."""
        return self.check.cases - len(self.check.set_aside) if self.check else None


@dataclass(frozen=True, slots=True, eq=False)
class Transfer:
    """Networks that were trained on label versions, then fine-tuned on another dataset's original labels.

    Attributes:
        target: the other dataset.
        labels: its ids -> organs.
        holdout: its cases that the networks are tested on.
        scores: raw scores on these; `dataset` is what a network was pre-trained on; empty when there are none.
        diverged: (dataset, version) of which a network did not converge.
    """

    target: str
    labels: Mapping[int, str]
    holdout: tuple[str, ...]
    scores: pl.DataFrame
    diverged: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Failure:
    """A case that a tool could not do."""

    dataset: str
    version: str
    stage: str
    case: str
    reason: str


@dataclass(frozen=True, slots=True)
class ToolRun:
    """Provenance of one folder that a tool wrote; `record` is its `run.json`."""

    dataset: str
    version: str
    stage: str
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A run folder in memory.

    Attributes:
        study: its name.
        score: tolerance and the rule for empty masks.
        verdict: when better labels count as worth their cost.
        train: the study's settings of training; None where it trains nothing.
        seeds: of training.
        prompts: version -> where its prompts come from, None where it has none.
        datasets: in the study's order.
        label_scores: raw scores of label versions against base; empty when there are none.
        model_scores: raw scores of models on the held-out cases against base, with `seed`; empty when there are none.
        logs: dataset, version, seed, epoch, loss, learning_rate, validation_dice; empty when there are none.
        failures: cases that tools could not do.
        failed_steps: step -> reason.
        missing: results that were planned, but are not there.
        tools: provenance of everything that tools wrote.
        transfers: a target each.
        diverged: (dataset, version) of which a network did not converge in-domain.
    """

    study: str
    score: Score
    verdict: Verdict
    train: Mapping[str, Any] | None
    seeds: tuple[int, ...]
    prompts: Mapping[str, str | None]
    datasets: tuple[Dataset, ...]
    label_scores: pl.DataFrame
    model_scores: pl.DataFrame
    logs: pl.DataFrame
    failures: tuple[Failure, ...]
    failed_steps: Mapping[str, str]
    missing: tuple[str, ...]
    tools: tuple[ToolRun, ...]
    transfers: tuple[Transfer, ...]
    diverged: frozenset[tuple[str, str]]

    @property
    def versions(self) -> tuple[str, ...]:
        """Label versions of all datasets, in the study's order, without base."""
        return tuple(dict.fromkeys(version for dataset in self.datasets for version in dataset.versions))

    @property
    def tolerances(self) -> str:
        """The tolerances of surface Dice in words, of all organs that are scored."""
        labels = [dataset.labels for dataset in self.datasets] + [transfer.labels for transfer in self.transfers]
        return self.score.scoring.said(organ for organs in labels for organ in organs.values())

    @property
    def common_labels(self) -> dict[str, tuple[int, ...]]:
        """Dataset -> labels that means are over."""
        return {dataset.name: dataset.common for dataset in self.datasets}


@dataclass(slots=True)
class _Found:
    """What is collected while a run folder is walked."""

    label_scores: list[pl.DataFrame] = field(default_factory=list)
    model_scores: list[pl.DataFrame] = field(default_factory=list)
    logs: list[pl.DataFrame] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    tools: list[ToolRun] = field(default_factory=list)
    diverged: set[tuple[str, str]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Course:
    """Networks side by side: their folder in the run folder, what they are about, how that is called in the report."""

    place: str
    dataset: str
    about: str


def load_run(run: Path) -> Run:
    """Read a run folder.

    Args:
        run: the folder that holds `study.yaml` and `plan.json`.

    Raises:
        UsageError: one of these two is missing or unreadable.
    """
    study, plan = yamlfiles.read(run / "study.yaml"), _json(run, "plan.json")
    if not isinstance(study, dict) or not plan:
        raise UsageError(f"{run}: a run folder must hold study.yaml and plan.json, but does not; plan the study first")
    datasets = tuple(_dataset(run, plan, name) for name in plan["versions"])
    seeds = tuple(plan.get("seeds", ())) if "split" in plan else ()
    found = _Found()
    for dataset in datasets:
        _collect_labels(run, dataset, found)
        for version in (BASE, *dataset.versions) if dataset.split else ():
            for seed in seeds:
                _collect_model(run, _Course(dataset.name, dataset.name, dataset.name), version, seed, found)
    transfers = tuple(_transfer(run, plan, target, datasets, found) for target in plan.get("transfer", ()) if seeds)
    return Run(
        study=plan["study"],
        score=Score.model_validate(study.get("score") or {}),
        verdict=Verdict.model_validate(plan.get("verdict") or {}),
        train=study.get("train"),
        seeds=seeds,
        prompts=plan.get("prompts", {}),
        datasets=datasets,
        label_scores=_joined(found.label_scores),
        model_scores=_joined(found.model_scores),
        logs=_joined(found.logs),
        failures=tuple(found.failures),
        failed_steps=dict(sorted(_json(run, "failures.json").get("steps", {}).items())),
        missing=tuple(found.missing),
        tools=tuple(found.tools),
        transfers=transfers,
        diverged=frozenset(found.diverged),
    )


def _transfer(
    run: Path, plan: Mapping[str, Any], target: str, datasets: tuple[Dataset, ...], found: _Found
) -> Transfer:
    """Results of all networks that were fine-tuned on a target; provenance and what went wrong goes to `found`."""
    mine = _Found(failures=found.failures, missing=found.missing, tools=found.tools)
    for dataset in datasets:
        course = _Course(f"transfer/{target}/{dataset.name}", dataset.name, f"{dataset.name} to {target}")
        for version in (NO_PRETRAIN, BASE, *dataset.versions):
            for seed in plan.get("seeds", ()):
                _collect_model(run, course, version, seed, mine)
    return Transfer(
        target=target,
        labels={int(label): organ for label, organ in plan["labels"][target].items()},
        holdout=tuple(plan["split"][target]["holdout"]),
        scores=_joined(mine.model_scores),
        diverged=frozenset(mine.diverged),
    )


def _dataset(run: Path, plan: Mapping[str, Any], name: str) -> Dataset:
    split = plan.get("split", {}).get(name)
    check = _json(run, f"{name}/check.json")
    return Dataset(
        name=name,
        versions=tuple(plan["versions"][name]),
        labels={int(label): organ for label, organ in plan["labels"][name].items()},
        common=tuple(plan["common_labels"][name]),
        excluded=plan.get("excluded_labels", {}).get(name, {}),
        split=Split(tuple(split["train"]), tuple(split["holdout"])) if split else None,
        check=_check(check) if check else None,
        source=read_run(run / name / "2-labels" / BASE).get("source", ""),
    )


def _check(content: Mapping[str, Any]) -> Check:
    aside = {case: tuple(reasons) for case, reasons in sorted(content.get("set_aside", {}).items())}
    return Check(content["cases"], aside, tuple(content.get("warnings", ())))


def _collect_labels(run: Path, dataset: Dataset, found: _Found) -> None:
    """Scores of a dataset's label versions, and what their generators recorded."""
    for version in dataset.versions:
        _collect_tool(run, f"{dataset.name}/1-raw/{version}", (dataset.name, version, "labels"), found)
        place = f"{dataset.name}/3-scores/{version}.parquet"
        found.label_scores += _frames(run, place, f"{dataset.name}: scores of the labels of {version}", found.missing)


def _collect_model(run: Path, course: _Course, version: str, seed: int, found: _Found) -> None:
    """Training log and test scores of one model, and what the trainer recorded."""
    model, predictions = (f"{course.place}/{stage}/{version}/seed-{seed}" for stage in ("5-models", "6-predictions"))
    about, who = course.about, f"the model trained on {version}, seed {seed}"
    _collect_tool(run, model, (about, version, "training"), found)
    _collect_tool(run, predictions, (about, version, "prediction"), found)
    names = [pl.lit(course.dataset).alias("dataset"), pl.lit(version).alias("version"), pl.lit(seed).alias("seed")]
    for log in _frames(run, f"{model}/log.parquet", f"{about}: training log of {who}", found.missing):
        found.logs.append(log.with_columns(names))
    if failure := _json(run, f"{model}/{IDENTITY}").get("failure"):
        found.diverged.add((course.dataset, version))
        found.missing.append(f"{about}: test scores of {who}, which {failure}")
        return
    if differences := unequal(run / model, run / course.place / "5-models" / BASE / f"seed-{seed}"):
        found.missing.append(f"{about}: {who} is not compared, since more than its labels differs from {BASE}'s: "
                             f"{'; '.join(differences)}")  # fmt: skip
        return
    for scores in _frames(run, f"{predictions}/scores.parquet", f"{about}: test scores of {who}", found.missing):
        found.model_scores.append(scores.with_columns(names))


def _collect_tool(run: Path, place: str, name: tuple[str, str, str], found: _Found) -> None:
    record = _without_place(run, read_run(run / place))
    if record:
        found.tools.append(ToolRun(*name, record))
    found.failures += [Failure(*name, case, reason) for case, reason in _failed_cases(run, f"{place}/status.jsonl")]


def _frames(run: Path, place: str, what: str, missing: list[str]) -> list[pl.DataFrame]:
    """The frame of a file; none, and a line in `missing`, where there is no such file."""
    if (run / place).is_file():
        return [pl.read_parquet(run / place)]
    missing.append(what)
    return []


def _failed_cases(run: Path, place: str) -> Iterator[tuple[str, str]]:
    """Failed cases with their reasons; of a case with several lines, the last one says how it ended."""
    file = run / place
    last: dict[str, Mapping[str, Any]] = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        try:
            record = json.loads(line)
            last[record["case"]] = record
        except (ValueError, KeyError, TypeError):
            continue  # a line that a crash cut short
    for case, record in sorted(last.items()):
        if record.get("state") == "failed":
            yield case, _without_place(run, record.get("reason") or "no reason was recorded")


def _json(run: Path, place: str) -> dict[str, Any]:
    """A JSON file's mapping; empty where there is none."""
    try:
        content = json.loads((run / place).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UsageError(f"{run / place}: must be JSON, but: {error}; run the study again") from None
    return _without_place(run, content) if isinstance(content, dict) else {}


def _without_place(run: Path, content: Any) -> Any:  # noqa: ANN401 - any JSON
    """The same content without the place of the run folder, which is no result."""
    match content:
        case str():
            return content.replace(str(run.resolve()), "RUN").replace(str(run.absolute()), "RUN")
        case list():
            return [_without_place(run, item) for item in content]
        case dict():
            return {key: _without_place(run, item) for key, item in content.items()}
        case _:
            return content


def _joined(frames: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()
