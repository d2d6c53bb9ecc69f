"""`coordinator remap` and `coordinator score`: remap and score folders of label maps without a study."""

import os
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

from contract import yamlfiles
from contract.datasets import SUFFIX, Dataset, DatasetDescription, case_names
from contract.errors import UsageError
from coordinator import statistics
from coordinator.engine.coordinator_steps import remap_file
from coordinator.scoring.conventions import CONVENTIONS
from coordinator.scoring.csvfiles import write_csv
from coordinator.scoring.folders import score_folders
from coordinator.study.labelmappings import read_label_mapping
from coordinator.tools.finding import find_tool


def remap_folder(mapping: Path, source: Path, target: Path, tool_name: str, dataset_folder: Path) -> str:
    """Remap every label map of a folder; returns a sentence about it.

    Raises:
        UsageError: unknown tool or variant, unsound label mapping, no label maps, or target within the dataset.
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
    if target.resolve().is_relative_to(dataset_folder.resolve()):
        raise UsageError(f"{target}: nothing is ever written into a dataset folder; choose another TARGET")
    target.mkdir(parents=True, exist_ok=True)
    for case in cases:
        remap_file(source / f"{case}{SUFFIX}", target / f"{case}{SUFFIX}", ids.to_target)
    unavailable = f"; not available: {', '.join(ids.unavailable)}" if ids.unavailable else ""
    return f"{len(cases)} label maps written to {target}{unavailable}"


def score_and_print(
    folders: tuple[Path, Path], dataset_folder: Path, tolerance_mm: float | None, empty: str, out: Path | None
) -> None:
    """Score one folder against another, print a row for each organ, and write each case's scores to `out`.

    Raises:
        UsageError: unknown convention or file type, no label maps.
    """
    if empty not in CONVENTIONS:
        raise UsageError(f"--empty: unknown convention {empty!r}; {yamlfiles.did_you_mean(empty, CONVENTIONS)}")
    if tolerance_mm is not None and not 0 < tolerance_mm <= 100:  # a NaN is in no range, and passes as one
        raise UsageError(f"--tolerance-mm: must be a number above 0 and up to 100, but it is {tolerance_mm}")
    if out is not None and out.suffix not in {".parquet", ".csv"}:
        raise UsageError(f"--out: {out} must end in .parquet or .csv")
    reference, prediction = folders
    _list_cases(prediction)
    dataset = _read_dataset(dataset_folder)
    scoring = CONVENTIONS[empty].scoring(tolerance_mm)
    frame = score_folders(reference, prediction, dataset.labels, scoring, workers=len(os.sched_getaffinity(0)))
    if out is not None:
        frame.write_parquet(out) if out.suffix == ".parquet" else write_csv(frame, out)
    scores = frame.with_columns(pl.lit(dataset.name).alias("dataset"), pl.lit(prediction.name).alias("version"))
    _print_scores(scores, empty, sorted({*frame["tolerance_mm"].to_list()}))


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
    cases = case_names(folder)
    if not cases:
        raise UsageError(f"{folder}: must hold <case>{SUFFIX} files, but holds none")
    return cases
