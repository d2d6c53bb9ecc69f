"""Reading a run folder: all that the report shows comes from here.

Any step may have failed, so any file but the study and its plan may be missing; what is missing is listed, not guessed.
Times, memory and places on disk are not read, so that the same results give the same report, byte for byte.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
from pydantic import BaseModel

from contract import statefiles, yamlfiles
from contract.errors import UsageError
from contract.records import read_run
from coordinator.results.files import (
    hide_place,
    parse_check,
    parse_failures,
    parse_plan,
    read_failed_cases,
    read_mapping,
)
from coordinator.results.networks import NetworkGroup, collect_network, collect_networks, read_mix
from coordinator.results.records import Records, collect_tool, concat, read_frames
from coordinator.results.run import (
    AGREEMENT,
    FAILURES,
    LABEL_SCORES,
    LABEL_SHELLS,
    LABELS,
    MODEL_SCORES,
    TRAINING_LOGS,
    CheckSummary,
    Run,
    RunDataset,
    Transfer,
)
from coordinator.results.trusted import describe_unscored, find_untrusted
from coordinator.study.marks import Marks
from coordinator.study.runfolder import refuse_older_layout
from coordinator.study.settings import ScoreSettings, TrainSettings, VerdictSettings
from coordinator.study.split import Split
from coordinator.study.steps import (
    ADDED_TOOLS,
    BASE,
    NO_PRETRAIN,
    agreement_file,
    dataset_folder,
    network_folders,
    read_seeds,
    read_splits,
    transfer_folder,
)

Section = TypeVar("Section", bound=BaseModel)


def load_run(run: Path | str) -> Run:
    """Read a run folder, which need not be complete.

    Args:
        run: the folder that holds `study.yaml` and `plan.json`, such as `runs/word`.

    Returns:
        All that is there; what is not there is listed in `missing`, `failures` and `failed_steps`.

    Raises:
        UsageError: one of these two files is missing or unreadable, or an earlier version wrote the folder.
    """
    study, recorded = _read_study_and_plan(run := Path(run))
    plan = hide_place(run, recorded)
    datasets = tuple(_read_dataset(run, plan, name) for name in plan["versions"])
    seeds, failed_steps = read_seeds(plan), read_mapping(run, "failures.json", parse_failures)
    records = Records(untrusted=find_untrusted(run, recorded, failed_steps))
    marks = _read_marks(plan, datasets, records)
    for dataset in datasets:
        _collect_labels(run, plan, dataset, marks, records)
        if dataset.splits:
            collect_networks(run, dataset, seeds, records)
    transfers = tuple(_read_transfer(run, plan, t, datasets, records) for t in plan.get("transfer", ()) if seeds.all)
    mix = read_mix(run, plan.get("mix") or {}, datasets, seeds.reference, records)
    return Run(
        study=plan["study"],
        data=Path(recorded["data"]) if recorded.get("data") else None,
        score=_parse_section(run, study, "score", ScoreSettings),
        verdict=VerdictSettings.model_validate(plan.get("verdict") or {}),
        train=study.get("train"),
        reference=seeds.reference,
        seeds=seeds.all,
        noise_seeds=seeds.noise,
        marks=marks,
        datasets=datasets,
        label_scores=concat(records.label_scores, LABEL_SCORES),
        label_shells=concat(records.label_shells, LABEL_SHELLS),
        model_scores=concat(records.model_scores, MODEL_SCORES),
        agreement=concat(records.agreement, AGREEMENT),
        training_logs=concat(records.logs, TRAINING_LOGS),
        failures=pl.DataFrame(records.failures, FAILURES, orient="row"),
        failed_steps=failed_steps,
        missing=tuple(records.missing),
        tools=tuple(records.tools),
        transfers=transfers,
        failed_networks=tuple(records.failed_networks),
        mix=mix,
        added_tools=plan[ADDED_TOOLS],
        leaks=plan["leaks"],
    )


def _read_study_and_plan(run: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the content of study.yaml and plan.json.

    Raises:
        UsageError: one of them is missing, unreadable or empty, or an earlier version wrote the folder.
    """
    refuse_older_layout(run)
    if absent := [name for name in ("study.yaml", "plan.json") if not (run / name).is_file()]:
        raise UsageError(
            f"{run}: a run folder must hold study.yaml and plan.json, but has no {' and no '.join(absent)}; "
            "check the path, or plan the study first"
        )
    study = yamlfiles.read(run / "study.yaml")
    plan = statefiles.require(run / "plan.json", parse_plan, "`coordinator run STUDY` writes it again")
    if not isinstance(study, dict):
        raise UsageError(f"{run / 'study.yaml'}: must hold keys and values, but does not; `coordinator run` copies it")
    if study.get("train") is not None:
        _parse_section(run, study, "train", TrainSettings)
    return study, plan


def _read_marks(plan: Mapping[str, Any], datasets: tuple[RunDataset, ...], records: Records) -> dict[str, Marks]:
    """Read the marks of all label versions; none where an earlier release planned, which is listed as missing."""
    if "marks" not in plan:
        records.missing.append("which label versions were made from the reference labels: plan.json does not say")
    return {v: Marks(**plan.get("marks", {}).get(v, {})) for dataset in datasets for v in dataset.versions}


def _parse_section(run: Path, study: Mapping[str, Any], name: str, model: type[Section]) -> Section:
    """A section of the run folder's study file; its defaults where it is not given.

    Raises:
        UsageError: it was changed to something that no study can have.
    """
    section = study.get(name) or {}
    if not isinstance(section, dict):
        raise UsageError(f"{run / 'study.yaml'}: {name} must be keys and values; run the study again")
    return yamlfiles.parse(f"{run / 'study.yaml'}: {name}", section, model)


def _read_transfer(
    run: Path, plan: Mapping[str, Any], target: str, datasets: tuple[RunDataset, ...], records: Records
) -> Transfer:
    """Read all networks that were fine-tuned on a target; their provenance and failures are added to `records`."""
    target_records = Records(
        failures=records.failures, missing=records.missing, tools=records.tools,
        failed_networks=records.failed_networks, untrusted=records.untrusted,
    )  # fmt: skip
    labels = {int(label): organ for label, organ in plan["labels"][target].items()}
    (split,), failed = read_splits(plan, target).values(), tuple(records.failed_networks)
    seeds = read_seeds(plan)
    for dataset in datasets:
        group = NetworkGroup(
            transfer_folder(target, dataset.name),
            dataset.name,
            target,
            labels,
            tuple(split["holdout"]),
            seeds.reference,
        )
        for version in (NO_PRETRAIN, seeds.reference, *dataset.versions):
            for seed in seeds.of(version):
                if any((n.dataset, n.target, n.version, n.seed) == (dataset.name, None, version, seed) for n in failed):
                    reason = "was fine-tuned from a network that failed"
                    records.failed_networks.append(group.failed(version, seed, reason))
                else:
                    collect_network(run, group, version, seed, target_records)
    return Transfer(
        target=target,
        labels=labels,
        held_out=tuple(split["holdout"]),
        scores=concat(target_records.model_scores, MODEL_SCORES),
        groups=plan.get("groups", {}).get(target, {}),
    )


def _read_scored_cases(plan: Mapping[str, Any], dataset: str) -> Callable[[str], list[str] | None]:
    """Label version -> the cases that it is scored on: those that it and the reference cover; None where unknown."""
    cases, covered = plan.get("cases", {}).get(dataset), plan.get("covered", {}).get(dataset, {})
    sets = {version: set(labels) for version, labels in covered.items()}
    reference = read_seeds(plan).reference

    def list_cases(version: str) -> list[str] | None:
        labelled = [sets[name] for name in (version, reference) if name in sets]
        return cases if cases is None else [case for case in cases if all(case in each for each in labelled)]

    return list_cases


def _read_dataset(run: Path, plan: Mapping[str, Any], name: str) -> RunDataset:
    check = read_mapping(run, f"{dataset_folder(name)}/check.json", parse_check)
    return RunDataset(
        name=name,
        versions=tuple(plan["versions"][name]),
        labels={int(label): organ for label, organ in plan["labels"][name].items()},
        common=tuple(plan["common_labels"][name]),
        excluded=plan.get("excluded_labels", {}).get(name, {}),
        splits=tuple(Split(tuple(s["train"]), tuple(s["holdout"])) for s in read_splits(plan, name).values()),
        check=_read_check(check) if check else None,
        source=read_run(run / dataset_folder(name) / "2-labels" / plan.get("reference", BASE)).get("source", ""),
        covered={version: tuple(cases) for version, cases in plan.get("covered", {}).get(name, {}).items()},
        groups=plan.get("groups", {}).get(name, {}),
    )


def _read_check(content: Mapping[str, Any]) -> CheckSummary:
    set_aside = {case: tuple(reasons) for case, reasons in sorted(content["set_aside"].items())}
    return CheckSummary(content["cases"], set_aside, tuple(content["warnings"]))


def _collect_labels(
    run: Path, plan: Mapping[str, Any], dataset: RunDataset, marks: Mapping[str, Marks], records: Records
) -> None:
    """Collect what is known of a dataset's label versions: scores, agreement, and what generators recorded."""
    _collect_agreement(run, plan, dataset, records)
    folder, scored_cases = dataset_folder(dataset.name), _read_scored_cases(plan, dataset.name)
    for version in dataset.versions:
        failed = _collect_made_labels(run, dataset, version, records, in_folds=marks[version].made_in_folds)
        place = f"{folder}/3-scores/{version}.parquet"
        what = f"{dataset.name}: scores of the labels of {version}"
        for scores in read_frames(run, place, what, records):
            records.label_scores.append(scores)
            records.missing += describe_unscored(scores, scored_cases(version), failed, what)
            shells = f"{folder}/3-scores/shells/{version}.parquet"
            if (run / shells).is_file():  # runs that were scored by an earlier release have no shells, and miss nothing
                records.label_shells += read_frames(run, shells, what, records)


def _collect_made_labels(run: Path, dataset: RunDataset, version: str, records: Records, *, in_folds: bool) -> set[str]:
    """Collect what a generator recorded of a label version, in each fold where it was made anew in each.

    Returns:
        The cases without labels, with folds in the fold that holds them out.
    """
    places = {LABELS: dataset_folder(dataset.name)}
    if in_folds:
        folders = network_folders(dataset.name, len(dataset.splits))
        places = {f"{LABELS} in fold {number}": folder for number, folder in enumerate(folders)}
    failed: set[str] = set()
    for stage, folder in places.items():
        name = (dataset.name, version, stage)
        failed |= collect_tool(run, f"{folder}/1-raw/{version}", name, records)
        not_remapped = dict(read_failed_cases(run, f"{folder}/2-labels/{version}/status.jsonl"))
        records.failures += [(*name, case, reason) for case, reason in not_remapped.items()]
        failed |= set(not_remapped)
    if in_folds:
        joined = f"{dataset_folder(dataset.name)}/2-labels/{version}/status.jsonl"
        return set(dict(read_failed_cases(run, joined)))
    return failed


def _collect_agreement(run: Path, plan: Mapping[str, Any], dataset: RunDataset, records: Records) -> None:
    """Collect how far label versions agree with the others, where the plan has such a step."""
    place = agreement_file(dataset.name)
    if any(step.get("output") == place for step in plan.get("steps", ())):
        for frame in read_frames(run, place, f"{dataset.name}: agreement of label versions", records):
            records.agreement.append(frame.select(pl.lit(dataset.name).alias("dataset"), pl.all()))
