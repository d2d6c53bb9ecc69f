"""Parquet files of scores and training logs: written whole or not at all, read only where they are what they say.

A module of its own, so that reading them imports no scoring code.
"""

import io
from pathlib import Path

import polars as pl

from contract import atomic
from coordinator.scoring.csvfiles import csv_text
from coordinator.scoring.schema import AGREEMENT_SCHEMA, SHELL_SCHEMA

KINDS = (
    {"case", "label", "organ", "dice", "surface_dice", "reference_voxels", "prediction_voxels"},
    set(SHELL_SCHEMA),
    set(AGREEMENT_SCHEMA),
    {"epoch", "loss"},
)
"""Columns that a file of scores, of shells, of agreement, and of a training log has, whichever release wrote it."""


def parse_frame(content: bytes) -> pl.DataFrame:
    """Parse a parquet file.

    Raises:
        ValueError: it is no whole one, or one of another kind.
    """
    try:
        frame = pl.read_parquet(io.BytesIO(content))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise ValueError(f"it is no whole parquet file ({str(error).splitlines()[0]})") from None
    if not any(columns <= set(frame.columns) for columns in KINDS):
        raise ValueError(f"it has other columns: {', '.join(frame.columns[:5])}")
    return frame


def write_frame(frame: pl.DataFrame, path: Path) -> None:
    """Make or replace a parquet file in one step, or a CSV file where its name ends so."""
    if path.suffix == ".csv":
        atomic.write_text(path, csv_text(frame))
        return
    content = io.BytesIO()
    frame.write_parquet(content)
    atomic.write_bytes(path, content.getvalue())
