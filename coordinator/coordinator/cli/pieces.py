"""`coordinator remap` and `coordinator score`: pieces of a study, alone."""

import os
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

from contract import yamlfiles
from contract.datasets import SUFFIX, Dataset, DatasetDescription, case_names
from contract.errors import UsageError
from coordinator import statistics
from coordinator.engine.own_steps import remap_file
from coordinator.scoring.conventions import CONVENTIONS
from coordinator.scoring.folders import score_folders
from coordinator.study.labelmappings import read_label_mapping
from coordinator.tools.finding import find_tool


def remap_folder(label_map: Path, source: Path, target: Path, tool_name: str, dataset_folder: Path) -> str:
    """Remap every label map of a folder; returns a sentence about it.

    Raises:
        UsageError: unknown tool or variant, unsound label map file, no label maps, or target within the dataset.
    """
    name, _, variant = tool_name.partition("-")
    manifest = find_tool(name).manifest
    try:
        labels = manifest.variant(variant or manifest.default_variant).labels
    except ValueError as error:
        raise UsageError(f"--from: {error}") from None
    dataset = _described(dataset_folder)
    ids = dataset.labels if labels == "from-dataset" else labels
    space = read_label_mapping(label_map, ids, dataset.labels)
    cases = _cases(source)
    if target.resolve().is_relative_to(dataset_folder.resolve()):
        raise UsageError(f"{target}: nothing is ever written into a dataset folder; choose another TARGET")
    target.mkdir(parents=True, exist_ok=True)
    for case in cases:
        remap_file(source / f"{case}{SUFFIX}", target / f"{case}{SUFFIX}", space.to_target)
    without = f"; not available: {', '.join(space.unavailable)}" if space.unavailable else ""
    return f"{len(cases)} label maps written to {target}{without}"


def score_and_show(
    folders: tuple[Path, Path], dataset_folder: Path, tolerance_mm: float | None, empty: str, out: Path | None
) -> None:
    """Score two folders, print a row an organ, and write the scores of every case where asked.

    Raises:
        UsageError: unknown convention or file type, no label maps.
    """
    if empty not in CONVENTIONS:
        raise UsageError(f"--empty: unknown convention {empty!r}; {yamlfiles.did_you_mean(empty, CONVENTIONS)}")
    if out is not None and out.suffix not in {".parquet", ".csv"}:
        raise UsageError(f"--out: {out} must end in .parquet or .csv")
    reference, prediction = folders
    _cases(prediction)
    dataset = _described(dataset_folder)
    scoring = CONVENTIONS[empty].scoring(tolerance_mm)
    frame = score_folders(reference, prediction, dataset.labels, scoring, workers=len(os.sched_getaffinity(0)))
    if out is not None:
        (frame.write_parquet if out.suffix == ".parquet" else frame.write_csv)(out)
    named = frame.with_columns(pl.lit(dataset.name).alias("dataset"), pl.lit(prediction.name).alias("version"))
    _show(named, empty, sorted({*frame["tolerance_mm"].to_list()}))


def _show(frame: pl.DataFrame, empty: str, tolerances_mm: list[float]) -> None:
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


def _described(folder: Path) -> Dataset:
    return Dataset(folder, yamlfiles.load(folder / "dataset.yaml", DatasetDescription))


def _cases(folder: Path) -> list[str]:
    cases = case_names(folder)
    if not cases:
        raise UsageError(f"{folder}: must hold <case>{SUFFIX} files, but holds none")
    return cases
