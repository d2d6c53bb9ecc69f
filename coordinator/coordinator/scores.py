"""Scoring label maps: two folders of the same cases to one tidy frame, a row a case and organ."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import polars as pl

from contract.datasets import SUFFIX, case_names
from contract.errors import CaseError
from contract.volumes import read_image, read_labels
from coordinator.metrics import score_case

SCHEMA = {
    "case": pl.String,
    "label": pl.Int64,
    "organ": pl.String,
    "dice": pl.Float64,
    "surface_dice": pl.Float64,
    "reference_voxels": pl.Int64,
    "prediction_voxels": pl.Int64,
    "reference_ml": pl.Float64,
    "prediction_ml": pl.Float64,
    "tolerance_mm": pl.Float64,
}


def score_folders(reference: Path, prediction: Path, organs: Mapping[int, str], tolerance_mm: float) -> pl.DataFrame:
    """Score every case of a folder against the same case of another.

    Args:
        reference: folder of `<case>.nii.gz`; the truth.
        prediction: folder of `<case>.nii.gz`; each must have its twin in `reference`.
        organs: label id -> name.
        tolerance_mm: of surface Dice.

    Returns:
        A row a case and organ, sorted by both; raw values, NaN where undefined (see `conventions`).

    Raises:
        CaseError: a case without a reference, or an unreadable file, or two grids.
    """
    cases = case_names(prediction)
    missing = sorted(set(cases) - set(case_names(reference)))
    if missing:
        raise CaseError(f"{reference}: must hold the reference of every case, but lacks {', '.join(missing)}")
    rows = []
    for case in cases:
        file = reference / f"{case}{SUFFIX}"
        volume = read_image(file)
        truth = read_labels(file, volume, organs)
        labels = read_labels(prediction / f"{case}{SUFFIX}", volume, organs)
        scored = score_case(truth, labels, volume.spacing_mm, organs, tolerance_mm)
        rows += [{"case": case, **asdict(score), "tolerance_mm": tolerance_mm} for score in scored]
    return pl.DataFrame(rows, schema=SCHEMA)
