"""Frames as csv files that a spreadsheet opens without running anything: text that looks like a formula stays text."""

from pathlib import Path

import polars as pl

FORMULA = "^[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"
"""How a cell begins that a spreadsheet takes for a formula; the last four are wide letters of East Asia."""
NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"


def csv_text(frame: pl.DataFrame) -> str:
    """A frame as csv; names of organs, cases and the like that begin as a formula get an apostrophe before them."""
    texts = frame.select(pl.selectors.string(include_categorical=True)).columns
    neutral = frame.with_columns(_neutralise(pl.col(name).cast(pl.String)).alias(name) for name in texts)
    heads = pl.Series(frame.columns, dtype=pl.String).to_frame("head").select(_neutralise(pl.col("head")).alias("head"))
    return neutral.rename(dict(zip(frame.columns, heads["head"], strict=True))).write_csv()


def write_csv(frame: pl.DataFrame, file: Path) -> None:
    """Write a frame as a csv file."""
    file.write_text(csv_text(frame), encoding="utf-8", newline="\n")


def _neutralise(column: pl.Expr) -> pl.Expr:
    is_formula = column.str.contains(FORMULA) & ~column.str.contains(NUMBER)
    return pl.when(is_formula).then(pl.concat_str(pl.lit("'"), column)).otherwise(column)
