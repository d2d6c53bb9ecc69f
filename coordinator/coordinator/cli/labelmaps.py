"""`coordinator remap` and `coordinator score`: remap and score folders of label maps without a study."""

import os
from pathlib import Path
from typing import Literal

import click
import polars as pl
from rich.console import Console
from rich.table import Table

from contract import yamlfiles
from contract.casenames import describe_passed_over
from contract.datasets import SUFFIX, Dataset, DatasetDescription, case_names, refuse_dataset_folder
from contract.errors import CaseError, ExitCode, UsageError
from coordinator import statistics
from coordinator.engine.coordinator_steps import remap_file
from coordinator.scoring.conventions import CONVENTIONS
from coordinator.scoring.folders import FolderScores, score_what_can_be_scored
from coordinator.scoring.framefiles import write_frame
from coordinator.study.labelmappings import read_label_mapping
from coordinator.tools.finding import find_tool

Missing = Literal["leave-out", "zero", "fail"]
"""What to do with a reference that has no prediction."""


def remap_folder(mapping: Path, source: Path, target: Path, tool_name: str, dataset_folder: Path) -> str:
    """Remap every label map of a folder; returns a sentence about it.

    Raises:
        UsageError: unknown tool or variant, unsound label mapping, no label maps, or a target that is a dataset's or
            holds the files of the source.
        CaseError: some label maps could not be remapped; all are listed, and the others are written.
    """
    name, _, variant = tool_name.partition("-")
    manifest = find_tool(name).manifest
    try:
        labels = manifest.variant(variant or manifest.default_variant).labels
    except ValueError as error:
        raise UsageError(f"--from: {error}") from None
    dataset = _read_dataset(dataset_folder)
    source_labels = dataset.labels if labels == "from-dataset" else labels
    ids = read_label_mapping(mapping, source_labels, dataset.labels)
    cases = _list_cases(source)
    _refuse_target(source, target, cases, dataset_folder)
    target.mkdir(parents=True, exist_ok=True)
    failures = []
    for case in cases:
        try:
            remap_file(source / f"{case}{SUFFIX}", target / f"{case}{SUFFIX}", ids.to_target)
        except CaseError as error:
            failures.append(str(error))
    unavailable = f"; not available: {', '.join(ids.unavailable)}" if ids.unavailable else ""
    sentence = f"{len(cases) - len(failures)} label maps written to {target}{unavailable}"
    if failures:
        raise CaseError("\n".join([f"{sentence}; {len(failures)} of {len(cases)} could not be remapped:", *failures]))
    return sentence


def score_and_print(
    folders: tuple[Path, Path],
    dataset_folder: Path,
    tolerance_mm: float | None,
    empty: str,
    out: Path | None,
    missing: Missing = "leave-out",
) -> int:
    """Score one folder against another, print a row for each organ, and write each case's scores to `out`.

    Returns:
        The exit code: 3 where a case could not be scored, or has no prediction and `missing` is "fail".

    Raises:
        UsageError: unknown convention or file type, no label maps, `out` within a dataset or in no folder.
    """
    if empty not in CONVENTIONS:
        raise UsageError(f"--empty: unknown convention {empty!r}; {yamlfiles.did_you_mean(empty, CONVENTIONS)}")
    if tolerance_mm is not None and not 0 < tolerance_mm <= 100:  # a NaN is in no range, and passes as one
        raise UsageError(f"--tolerance-mm: must be a number above 0 and up to 100, but it is {tolerance_mm}")
    if out is not None and out.suffix not in {".parquet", ".csv"}:
        raise UsageError(f"--out: {out} must end in .parquet or .csv")
    if out is not None:
        refuse_dataset_folder(out, dataset_folder)
        if not out.absolute().parent.is_dir():
            raise UsageError(f"--out: {out} must lie in a folder that exists, but {out.parent} does not; make it first")
    _list_cases(folders[0] if missing == "zero" else folders[1])
    dataset = _read_dataset(dataset_folder)
    excluded = dataset.description.exclude
    scored = score_what_can_be_scored(
        folders, dataset.labels, CONVENTIONS[empty].scoring(tolerance_mm), excluded, missing_as_empty=missing == "zero"
    )
    frame = scored.frame
    if not frame.is_empty():
        if out is not None:
            write_frame(frame, out)
        names = pl.lit(dataset.name).alias("dataset"), pl.lit(folders[1].name).alias("version")
        _print_scores(frame.with_columns(*names), empty, sorted({*frame["tolerance_mm"].to_list()}))
    if present := sorted(set(excluded) & {case for folder in folders for case in case_names(folder)}):
        click.echo(f"excluded by {dataset_folder / 'dataset.yaml'}: {', '.join(present)}", err=True)
    return _report_unscored(scored, missing)


def _report_unscored(scored: FolderScores, missing: Missing) -> int:
    """Say which cases are not in the scores, and why; returns the exit code."""
    is_missing = scored.without_prediction and missing == "fail"
    if without := scored.without_prediction:
        counted = {
            "leave-out": "they are in no mean (--missing zero counts each as an empty label map, fail is an error)",
            "zero": "each was scored as an empty label map",
            "fail": "give them a prediction, or choose --missing leave-out or zero",
        }[missing]
        text = f"{len(without)} of {scored.references} references have no prediction: {', '.join(without)}; {counted}"
        click.echo(f"{'error' if is_missing else 'warning'}: {text}", err=True)
    if scored.failures:
        click.echo(f"error: {len(scored.failures)} cases could not be scored and are in no mean:", err=True)
        for reason in scored.failures.values():
            click.echo(f"  {reason}", err=True)
    return ExitCode.CASES_FAILED if scored.failures or is_missing else ExitCode.DONE


def _refuse_target(source: Path, target: Path, cases: list[str], dataset_folder: Path) -> None:
    """Refuse a target that is a dataset's, or whose files are the ones to be read."""
    refuse_dataset_folder(target, dataset_folder)
    for case in cases:
        old, new = source / f"{case}{SUFFIX}", target / f"{case}{SUFFIX}"
        if os.path.realpath(new) == os.path.realpath(old) or (new.exists() and old.exists() and new.samefile(old)):
            raise UsageError(
                f"{new}: remap must write beside the label maps that it reads, but this is one of them; choose another "
                "TARGET"
            )


def _print_scores(frame: pl.DataFrame, empty: str, tolerances_mm: list[float]) -> None:
    tolerance = " to ".join(f"{t:g}" for t in dict.fromkeys((tolerances_mm[0], tolerances_mm[-1])))
    table = Table("organ", "n", "Dice", "std", f"surface Dice ({tolerance} mm)", "std", box=None)
    for row in statistics.organ_table(frame, empty).iter_rows(named=True):
        numbers = [f"{row[k]:.4f}" for k in ("dice_mean", "dice_std", "surface_dice_mean", "surface_dice_std")]
        table.add_row(row["organ"], str(row["n"]), *numbers)
    labels = sorted(set(frame["label"].to_list()))
    total = statistics.summary(frame, empty, {frame["dataset"][0]: labels}).row(0, named=True)
    numbers = [f"{total[k]:.4f}" for k in ("dice", "dice_std", "surface_dice", "surface_dice_std")]
    table.add_row("all organs", "", *numbers, style="bold")
    Console().print(table)


def _read_dataset(folder: Path) -> Dataset:
    return Dataset(folder, yamlfiles.load(folder / "dataset.yaml", DatasetDescription))


def _list_cases(folder: Path) -> list[str]:
    """The cases of a folder; what is passed over is said on stderr."""
    cases = case_names(folder)
    for line in describe_passed_over(folder):
        click.echo(f"warning: {line}", err=True)
    if not cases:
        raise UsageError(f"{folder}: must hold <case>{SUFFIX} files, but holds none")
    return cases
