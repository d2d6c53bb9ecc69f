"""Tables of plain text, for what has no mean ± standard deviation: verdicts, the worklist, dose and response."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from coordinator.report.tables import DIGITS, escaped


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """A table to be shown and written.

    Attributes:
        name: of its files.
        caption: what it shows.
        columns: heads.
        rows: as many texts each as there are columns.
        notes: what needs to be said about it.
        tidy: the numbers behind it.
    """

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    tidy: pl.DataFrame


def write(sheet: Sheet, folder: Path) -> None:
    """Write a sheet as csv, md and tex files into a folder that exists."""
    text = sheet.tidy.with_columns(pl.selectors.float().round(DIGITS)).write_csv()
    for ending, content in ((".csv", text), (".md", markdown(sheet)), (".tex", latex(sheet))):
        (folder / f"{sheet.name}{ending}").write_text(content, encoding="utf-8", newline="\n")


def markdown(sheet: Sheet) -> str:
    """The sheet in Markdown."""
    lines = [sheet.columns, tuple("---" for _ in sheet.columns), *sheet.rows]
    body = "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)
    return "\n\n".join([sheet.caption, body, *sheet.notes]) + "\n"


def latex(sheet: Sheet) -> str:
    """The sheet in LaTeX, for the booktabs package."""
    lines = [" & ".join(map(escaped, row)) + r" \\" for row in (sheet.columns, *sheet.rows)]
    head = [f"% {sheet.caption}", rf"\begin{{tabular}}{{{'l' * len(sheet.columns)}}}", r"\toprule"]
    tail = [r"\bottomrule", r"\end{tabular}", *(f"% {note}" for note in sheet.notes)]
    return "\n".join([*head, lines[0], r"\midrule", *lines[1:], *tail]) + "\n"
