"""The columns of frames of scores and shells; a module of its own, so that reading these imports no scoring code."""

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

WIDTH_MM = 0.5
"""Of a shell around an organ's surface."""
SHELLS = 20
"""On each side of the surface: as far as 10 mm. What lies deeper inside is one more shell; what lies further outside is
not counted."""
SHELL_SCHEMA = {
    "case": pl.String,
    "label": pl.Int64,
    "organ": pl.String,
    "distance_mm": pl.Float64,
    "voxels": pl.Int64,
    "labelled_voxels": pl.Int64,
}
"""The columns of a frame of shells; `distance_mm` is that of the middle of a shell to the surface, below 0 inside. Of
large organs, a quarter of the voxels is counted."""

AGREEMENT_SCHEMA = {
    "case": pl.String,
    "label": pl.Int64,
    "organ": pl.String,
    "version": pl.String,
    "others_dice": pl.Float64,
}
"""The columns of a frame of agreement; `others_dice` is that of a version with the consensus of the others."""


def schema(scoring: Scoring) -> dict[str, Any]:
    """The columns of a score frame: `SCHEMA`, then `surface_dice_<tolerance>mm` and distances if requested."""
    also = {f"surface_dice_{tolerance_mm:g}mm": pl.Float64 for tolerance_mm in scoring.also_mm}
    distances = {"hd95_mm": pl.Float64, "assd_mm": pl.Float64} if scoring.distances else {}
    return {**SCHEMA, **also, **distances}
