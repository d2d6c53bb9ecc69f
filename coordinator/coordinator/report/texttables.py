"""Tables of plain text, for what has no mean ± standard deviation: verdict, worklist, dose and response, ranks."""

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True, eq=False)
class TextTable:
    """A table of texts.

    Attributes:
        name: of its files.
        caption: what it shows.
        columns: heads.
        rows: each with as many texts as there are columns.
        notes: sentences below the table.
        tidy: the numbers behind it.
    """

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    tidy: pl.DataFrame
