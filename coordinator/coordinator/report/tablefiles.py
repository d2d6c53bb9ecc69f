"""Tables as files: csv with the numbers behind them, Markdown, and LaTeX for the booktabs package."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from coordinator.report.failed import FAILED
from coordinator.report.marks import IN_FOLDS, MADE, PROMPTED, SAW_HELD_OUT
from coordinator.report.tables import Row, ScoreTable
from coordinator.report.texttables import TextTable
from coordinator.results.summaries import DIGITS
from coordinator.scoring.csvfiles import csv_text
from coordinator.verdict.sentences import NO_NUMBER

LATEX = {
    "±": r"$\pm$", PROMPTED: r"$\dagger$", MADE: r"$\ddagger$", SAW_HELD_OUT: r"\S{}",
    IN_FOLDS: r"\P{}", NO_NUMBER: "--",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    FAILED: "---", "<": "$<$", ">": "$>$", "−": "$-$",  # noqa: RUF001
}  # fmt: skip


def write_table(table: ScoreTable | TextTable, folder: Path) -> None:
    """Write a table as csv, md and tex files into a folder that exists."""
    csv = csv_text(table.tidy.with_columns(pl.selectors.float().round(DIGITS))) if table.tidy.width else ""
    for ending, content in ((".csv", csv), (".md", markdown(table)), (".tex", latex(table))):
        (folder / f"{table.name}{ending}").write_text(content, encoding="utf-8", newline="\n")


def markdown(table: ScoreTable | TextTable) -> str:
    """The table in Markdown."""
    if isinstance(table, TextTable):
        lines = [table.columns, ["---"] * len(table.columns), *table.rows]
        lines = [[*map(escape_markdown, line)] for line in lines]
    else:
        lines = [["", "", *map(escape_markdown, table.columns)], ["---", "---", *(["--:"] * len(table.columns))]]
        for is_first, row in _mark_first(table.rows):
            cells = [f"**{escape_markdown(c.text)}**" if c.best else escape_markdown(c.text) for c in row.cells]
            lines.append([escape_markdown(_full_head(row)) if is_first else "", row.metric, *cells])
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    caption, *notes = (_escape_start(escape_markdown(text)) for text in (table.caption, *table.notes))
    return "\n\n".join([caption, body, *notes]) + "\n"


def escape_markdown(text: str) -> str:
    """Write text as Markdown that shows it as it is; what means nothing where it stands is left alone."""
    text = re.sub(r"\s*[\r\n]+\s*", " ", text)
    text = re.sub(r"([\\`*|~$]|\](?=[(\[:]))", r"\\\1", text)
    text = re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text)
    text = re.sub(r"<(?=[A-Za-z/!?])", r"\\<", text)
    return re.sub(r"&(?=#?\w+;)", r"\\&", text)


def _escape_start(paragraph: str) -> str:
    """Escape what would make a paragraph a heading, a list, a quotation or a line."""
    paragraph = re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", paragraph)
    return re.sub(r"^([#>+=-])", r"\\\1", paragraph)


def latex(table: ScoreTable | TextTable) -> str:
    """The table in LaTeX."""
    if isinstance(table, TextTable):
        alignment, head = "l" * len(table.columns), [*map(escape_latex, table.columns)]
        lines = [[*map(escape_latex, row)] for row in table.rows]
    else:
        alignment, head = "ll" + "r" * len(table.columns), ["", "", *map(escape_latex, table.columns)]
        lines = []
        for is_first, row in _mark_first(table.rows):
            cells = [rf"\textbf{{{escape_latex(c.text)}}}" if c.best else escape_latex(c.text) for c in row.cells]
            lines.append([escape_latex(_full_head(row)) if is_first else "", row.metric, *cells])
    top = [f"% {_one_line(table.caption)}", rf"\begin{{tabular}}{{{alignment}}}", r"\toprule"]
    bottom = [r"\bottomrule", r"\end{tabular}", *(f"% {_one_line(note)}" for note in table.notes)]
    rows = [" & ".join(line) + r" \\" for line in (head, *lines)]
    return "\n".join([*top, rows[0], r"\midrule", *rows[1:], *bottom]) + "\n"


def escape_latex(text: str) -> str:
    """Write text as LaTeX."""
    text = _one_line(text)
    for special in "\\&%$#_{}":
        text = text.replace(special, f"\\{special}" if special != "\\" else r"\textbackslash ")
    for character, command in LATEX.items():
        text = text.replace(character, command)
    return text


def _one_line(text: str) -> str:
    """Text without line breaks, which would end a comment or a row."""
    return re.sub(r"\s*[\r\n]+\s*", " ", text)


def _full_head(row: Row) -> str:
    return f"{row.head} ({row.detail})" if row.detail else row.head


def _mark_first(rows: Sequence[Row]) -> Iterable[tuple[bool, Row]]:
    """Rows, each with whether it is the first of its head."""
    return [(i == 0 or rows[i - 1].head != row.head, row) for i, row in enumerate(rows)]
