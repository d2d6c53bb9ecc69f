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
from coordinator.results.run import (
    FAILURES,
    LABEL_SCORES,
    MODEL_SCORES,
    TRAINING_LOGS,
    Check,
    Dataset,
    Run,
    Split,
    ToolRun,
    Transfer,
)
from coordinator.study.file import Score, Verdict
from coordinator.study.steps import BASE, NO_PRETRAIN


@dataclass(slots=True)
class _Found:
    """What is collected while a run folder is walked."""

    label_scores: list[pl.DataFrame] = field(default_factory=list)
    model_scores: list[pl.DataFrame] = field(default_factory=list)
    logs: list[pl.DataFrame] = field(default_factory=list)
    failures: list[tuple[str, ...]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    tools: list[ToolRun] = field(default_factory=list)
    diverged: set[tuple[str, str]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Course:
    """Networks side by side: their folder in the run folder, what they are about, how that is called in the report."""

    place: str
    dataset: str
    about: str


def load_run(run: Path | str) -> Run:
    """Read a run folder, which need not be complete.

    Args:
        run: the folder that holds `study.yaml` and `plan.json`, such as `runs/word`.

    Returns:
        All that is there; what is not there is listed in `missing`, `failures` and `failed_steps`.

    Raises:
        UsageError: one of these two files is missing or unreadable.
    """
    run = Path(run)
    if absent := [name for name in ("study.yaml", "plan.json") if not (run / name).is_file()]:
        raise UsageError(
            f"{run}: a run folder must hold study.yaml and plan.json, but has no {' and no '.join(absent)}; "
            "check the path, or plan the study first"
        )
    study, recorded = yamlfiles.read(run / "study.yaml"), _read_json(run / "plan.json")
    plan = _without_place(run, recorded)
    if not isinstance(study, dict) or not plan:
        raise UsageError(f"{run}: study.yaml and plan.json must hold keys and values, but do not; plan the study again")
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
        data=Path(recorded["data"]) if recorded.get("data") else None,
        score=Score.model_validate(study.get("score") or {}),
        verdict=Verdict.model_validate(plan.get("verdict") or {}),
        train=study.get("train"),
        seeds=seeds,
        prompts=plan.get("prompts", {}),
        datasets=datasets,
        label_scores=_concat(found.label_scores, LABEL_SCORES),
        model_scores=_concat(found.model_scores, MODEL_SCORES),
        training_logs=_concat(found.logs, TRAINING_LOGS),
        failures=pl.DataFrame(found.failures, FAILURES, orient="row"),
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
        scores=_concat(mine.model_scores, MODEL_SCORES),
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
    found.failures += [(*name, case, reason) for case, reason in _failed_cases(run, f"{place}/status.jsonl")]


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
    """A JSON file's mapping without the place of the run folder; empty where there is none."""
    return dict(_without_place(run, _read_json(run / place)))


def _read_json(file: Path) -> dict[str, Any]:
    """A JSON file's mapping; empty where there is none."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UsageError(f"{file}: must be JSON, but: {error}; run the study again") from None
    return content if isinstance(content, dict) else {}


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


def _concat(frames: list[pl.DataFrame], schema: Mapping[str, Any]) -> pl.DataFrame:
    """All rows; the columns are the schema's, then others that frames have."""
    return pl.concat([pl.DataFrame(schema=schema), *frames], how="diagonal_relaxed")
