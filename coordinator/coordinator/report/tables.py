"""The report's tables, once as data and then as csv, Markdown, LaTeX; the page shows the same ones.

Two lines a row: Dice and Surface Dice, mean ± standard deviation in percent, as in the paper's Table 1.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from coordinator.results.run import Dataset, Run, Transfer
from coordinator.results.summaries import METRICS, MeanScore, Results
from coordinator.statistics.quintiles import quintiles
from coordinator.study.steps import BASE, NO_PRETRAIN
from coordinator.verdict.sentences import NO_NUMBER

DIGITS = 6
"""Of numbers in csv files: more than anyone needs, and few enough to be the same on every machine."""

PROMPTED = "†"
DIVERGED = "—"  # as in the paper's Tables 2 and 3
LATEX = {"±": r"$\pm$", PROMPTED: r"$\dagger$", NO_NUMBER: "--", DIVERGED: "---", "<": "$<$", ">": "$>$", "−": "$-$"}  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class Cell:
    """A mean and its standard deviation in percent; None where there are no scores.

    Attributes:
        mean: in percent.
        std: in percent.
        note: what is special about this number.
        best: whether it is the best of its column.
        fifth: of its column, 1 (worst) to 5; None where the table is not coloured.
        diverged: whether there are no scores because a network did not converge.
    """

    mean: float | None = None
    std: float | None = None
    note: str = ""
    best: bool = False
    fifth: int | None = None
    diverged: bool = False

    @property
    def text(self) -> str:
        """As people read it."""
        if self.mean is None or self.std is None:
            return DIVERGED if self.diverged else NO_NUMBER
        return f"{self.mean:.1f} ± {self.std:.1f}{f' ({self.note})' if self.note else ''}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line: what it is about, which metric, and a cell a column.

    Attributes:
        head: version or organ.
        detail: such as the number of cases.
        metric: Dice or Surface Dice.
        cells: as many as the table has columns.
        muted: whether it doesn't count in any mean.
    """

    head: str
    detail: str
    metric: str
    cells: tuple[Cell, ...]
    muted: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table to be shown and written.

    Attributes:
        name: of its files.
        caption: what it shows.
        columns: heads of the cells.
        rows: two a head, Dice and Surface Dice.
        notes: what its marks mean, and what is missing.
        tidy: the numbers behind it, in [0, 1].
    """

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    tidy: pl.DataFrame


def label_quality(run: Run, results: Results) -> Table:
    """Table 1: how well each label version agrees with the original labels."""
    return Table(
        name="label-quality",
        caption="Agreement of generated labels with the original ones: Dice and Surface Dice, "
        "mean ± standard deviation in percent.",
        columns=tuple(_counted(d.name, d.sound_cases) for d in run.datasets),
        rows=_version_rows(run, run.versions, lambda d, v: results.labels(d.name, v), lambda d: d.sound_cases),
        notes=_notes(run),
        tidy=results.label_summary,
    )


def in_domain(run: Run, results: Results) -> Table:
    """How well the models trained on each version predict the original labels of held-out cases."""
    return Table(
        name="in-domain",
        caption="Networks trained on each label version, tested on held-out cases against the original labels: "
        "Dice and Surface Dice, mean ± standard deviation in percent.",
        columns=tuple(_counted(d.name, _held_out(d)) for d in run.datasets),
        rows=_version_rows(run, (BASE, *run.versions), lambda d, v: results.model(d.name, v), _held_out, run.diverged),
        notes=_notes(run),
        tidy=results.model_summary,
    )


def transfer(run: Run, results: Results, to: Transfer) -> Table:
    """Tables 2 and 3: networks pre-trained on each label version, then fine-tuned on a target's original labels."""
    rows = _version_rows(
        run, (NO_PRETRAIN, BASE, *run.versions), lambda d, v: results.transfer(to.target, d.name, v),
        lambda d: len(to.holdout), to.diverged,
    )  # fmt: skip
    return Table(
        name=f"transfer-{to.target}",
        caption=f"Networks pre-trained on a label version of each dataset, fine-tuned on the original labels of "
        f"{to.target} and tested on {len(to.holdout)} of its cases: Dice and Surface Dice, mean ± standard deviation "
        "in percent.",
        columns=tuple(dataset.name for dataset in run.datasets),
        rows=_coloured(rows),
        notes=(*_notes(run), "Coloured by quintile of a column and metric, from worst to best; "
               f"{DIVERGED} is a network that did not converge."),
        tidy=results.transfers[to.target],
    )  # fmt: skip


def organs(run: Run, dataset: Dataset, scores: pl.DataFrame, name: str, caption: str) -> Table:
    """A row an organ, a column a version, of one dataset.

    Args:
        run: the run.
        dataset: whose organs.
        scores: `label_organs` or `model_organs` of the results.
        name: of the table's files, completed by the dataset's.
        caption: what the numbers are.
    """
    mine = scores.filter(pl.col("dataset") == dataset.name) if not scores.is_empty() else scores
    present = set(mine["version"].unique()) if not mine.is_empty() else set()
    versions = [version for version in (BASE, *dataset.versions) if version in present]
    numbers = {(row["version"], row["label"]): row for row in mine.iter_rows(named=True)}
    rows = [
        row
        for label, organ in dataset.labels.items()
        for row in _organ_rows(organ, [numbers.get((v, label)) for v in versions], muted=label not in dataset.common)
    ]
    return Table(
        name=f"{name}-{dataset.name}",
        caption=caption,
        columns=tuple(_marked(run, version) for version in versions),
        rows=tuple(rows),
        notes=(*_excluded_note(dataset), *_notes(run, versions)),
        tidy=mine,
    )


def write(table: Table, folder: Path) -> None:
    """Write a table as csv, md and tex files.

    Args:
        table: to be written.
        folder: that exists.
    """
    text = table.tidy.with_columns(pl.selectors.float().round(DIGITS)).write_csv() if table.tidy.width else ""
    for ending, content in ((".csv", text), (".md", markdown(table)), (".tex", latex(table))):
        (folder / f"{table.name}{ending}").write_text(content, encoding="utf-8", newline="\n")


def markdown(table: Table) -> str:
    """The table in Markdown."""
    head = ["", "", *table.columns]
    lines = [head, ["---", "---", *(["--:"] * len(table.columns))]]
    for first, row in _with_first(table.rows):
        cells = [f"**{cell.text}**" if cell.best else cell.text for cell in row.cells]
        lines.append([_counted_head(row) if first else "", row.metric, *cells])
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return "\n\n".join([table.caption, body, *table.notes]) + "\n"


def latex(table: Table) -> str:
    """The table in LaTeX, for the booktabs package."""
    lines = [
        f"% {table.caption}",
        rf"\begin{{tabular}}{{ll{'r' * len(table.columns)}}}",
        r"\toprule",
        " & ".join(["", "", *(escaped(column) for column in table.columns)]) + r" \\",
        r"\midrule",
    ]
    for first, row in _with_first(table.rows):
        cells = [rf"\textbf{{{escaped(c.text)}}}" if c.best else escaped(c.text) for c in row.cells]
        lines.append(" & ".join([escaped(_counted_head(row)) if first else "", row.metric, *cells]) + r" \\")
    notes = [f"% {note}" for note in table.notes]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *notes]) + "\n"


Lookup = Callable[[Dataset, str], MeanScore | None]


def _version_rows(
    run: Run,
    versions: Sequence[str],
    score: Lookup,
    expected: Callable[[Dataset], int | None],
    diverged: Collection[tuple[str, str]] = (),
) -> tuple[Row, ...]:
    """Two rows a version; the best generated version of each column is marked, and cells of fewer cases say so."""
    rows = []
    for version in versions:
        found = [score(dataset, version) for dataset in run.datasets]
        counts = [_fewer(s.cases, expected(d)) if s else "" for s, d in zip(found, run.datasets, strict=True)]
        for metric, title in METRICS.items():
            cells = tuple(
                _cell(getattr(s, metric), getattr(s, f"{metric}_std"), note if metric == "dice" else "")
                if s
                else Cell(diverged=(d.name, version) in diverged)
                for s, note, d in zip(found, counts, run.datasets, strict=True)
            )
            rows.append(Row(_marked(run, version), "", title, cells))
    return _best_marked(rows, skip=(BASE, NO_PRETRAIN))


def _organ_rows(organ: str, numbers: Sequence[Mapping[str, Any] | None], *, muted: bool) -> list[Row]:
    most = max((n["n"] for n in numbers if n), default=0)
    rows = []
    for metric, title in METRICS.items():
        cells = tuple(
            _cell(n[metric], n[f"{metric}_std"], _fewer(n["n"], most) if metric == "dice" else "")
            if n and n["n"]
            else Cell()
            for n in numbers
        )
        rows.append(Row(organ, f"n = {most}", title, cells, muted))
    return rows


def _best_marked(rows: Iterable[Row], skip: Collection[str]) -> tuple[Row, ...]:
    rows = list(rows)
    best: dict[tuple[str, int], float] = {}
    for row in rows:
        for column, cell in enumerate(row.cells):
            if cell.mean is not None and row.head not in skip:
                best[row.metric, column] = max(cell.mean, best.get((row.metric, column), cell.mean))
    return tuple(
        replace(
            row,
            cells=tuple(
                replace(
                    cell, best=row.head not in skip and cell.mean is not None and cell.mean == best[row.metric, column]
                )
                for column, cell in enumerate(row.cells)
            ),
        )
        for row in rows
    )


def _coloured(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The same rows with the quintile of each cell among those of its column and metric."""
    fifths: dict[tuple[str, int], Iterator[int | None]] = {
        (metric, column): iter(quintiles([row.cells[column].mean for row in rows if row.metric == metric]))
        for metric in METRICS.values()
        for column in range(len(rows[0].cells))
    }
    return tuple(
        replace(row, cells=tuple(replace(c, fifth=next(fifths[row.metric, i])) for i, c in enumerate(row.cells)))
        for row in rows
    )


def _cell(mean: float, std: float, note: str) -> Cell:
    # Rounded as in the csv files first, so that the page and the csv say the same in every last digit.
    return Cell(100 * round(mean, DIGITS), 100 * round(std, DIGITS), note)


def _fewer(count: int, expected: int | None) -> str:
    return f"n = {count}" if expected is not None and count != expected else ""


def _counted(name: str, cases: int | None) -> str:
    return name if cases is None else f"{name} ({cases} case{'s' * (cases != 1)})"


def _counted_head(row: Row) -> str:
    return f"{row.head} ({row.detail})" if row.detail else row.head


def _held_out(dataset: Dataset) -> int | None:
    return len(dataset.split.holdout) if dataset.split else None


def _marked(run: Run, version: str) -> str:
    return f"{version} {PROMPTED}" if run.prompts.get(version) == "ground-truth" else version


def _notes(run: Run, versions: Sequence[str] | None = None) -> tuple[str, ...]:
    prompted = [v for v in versions or run.versions if run.prompts.get(v) == "ground-truth"]
    return (f"{PROMPTED} Its prompts were made from the original labels.",) if prompted else ()


def _excluded_note(dataset: Dataset) -> tuple[str, ...]:
    left_out = [organ for label, organ in dataset.labels.items() if label not in dataset.common]
    return (f"Not in the mean over organs: {', '.join(left_out)}.",) if left_out else ()


def _with_first(rows: Sequence[Row]) -> Iterable[tuple[bool, Row]]:
    """Rows, each with whether it is the first of its head."""
    return [(i == 0 or rows[i - 1].head != row.head, row) for i, row in enumerate(rows)]


def escaped(text: str) -> str:
    """Text as LaTeX."""
    for special in "\\&%$#_{}":
        text = text.replace(special, f"\\{special}" if special != "\\" else r"\textbackslash ")
    for character, command in LATEX.items():
        text = text.replace(character, command)
    return text
