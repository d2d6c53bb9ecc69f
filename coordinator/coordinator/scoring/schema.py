"""The columns of a score frame; a module of its own, so that reading frames does not import the scoring code."""

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
"""The columns of every score frame; `tolerance_mm` is that of `surface_dice`."""


def schema(scoring: Scoring) -> dict[str, Any]:
    """The columns of a score frame: `SCHEMA`, then `surface_dice_<tolerance>mm` and distances if requested."""
    also = {f"surface_dice_{tolerance_mm:g}mm": pl.Float64 for tolerance_mm in scoring.also_mm}
    distances = {"hd95_mm": pl.Float64, "assd_mm": pl.Float64} if scoring.distances else {}
    return {**SCHEMA, **also, **distances}
