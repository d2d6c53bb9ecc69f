"""The columns of a score frame; small, so that frames can be read without what makes scores."""

from typing import Any

import polars as pl

from coordinator.scoring.settings import Scoring

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
"""The columns that are always there; `tolerance_mm` is that of `surface_dice`."""


def schema(scoring: Scoring) -> dict[str, Any]:
    """The columns of a score frame: `SCHEMA`, `surface_dice_<tolerance>mm` of further tolerances, distances."""
    also = {f"surface_dice_{tolerance_mm:g}mm": pl.Float64 for tolerance_mm in scoring.also_mm}
    distances = {"hd95_mm": pl.Float64, "assd_mm": pl.Float64} if scoring.distances else {}
    return {**SCHEMA, **also, **distances}
