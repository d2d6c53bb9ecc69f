"""Tables of scores: Dice and Surface Dice, mean ± standard deviation in percent, as in the paper's Table 1.

The page shows the same tables that `tablefiles` writes as csv, Markdown and LaTeX.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from coordinator.report.failed import FAILED, add_failed_seeds, failed_notes, note_seeds
from coordinator.report.marks import mark_notes, mark_version
from coordinator.results.failednetworks import count_failed
from coordinator.results.run import Run, RunDataset, Transfer
from coordinator.results.summaries import DIGITS, METRICS, MeanScore, Results
from coordinator.statistics.quintiles import quintiles
from coordinator.study.steps import NO_PRETRAIN
from coordinator.verdict.sentences import NO_NUMBER, count_noun

BOLD = "Bold: the highest mean among label versions in each column, of these cases; no test says that it is the best."


@dataclass(frozen=True, slots=True)
class Cell:
    """A mean and its standard deviation in percent; None where there are no scores.

    Attributes:
        mean: in percent.
        std: in percent.
        note: what is special about this number.
        best: whether it is the best of its column.
        fifth: quintile among the cells of its column, 1 (worst) to 5; None where the table is not coloured.
        failed: whether there are no scores because all networks failed.
    """

    mean: float | None = None
    std: float | None = None
    note: str = ""
    best: bool = False
    fifth: int | None = None
    failed: bool = False

    @property
    def text(self) -> str:
        """Mean, standard deviation and note; a dash where there are no scores."""
        if self.mean is None or self.std is None:
            return FAILED if self.failed else NO_NUMBER
        return f"{self.mean:.1f} ± {self.std:.1f}{f' ({self.note})' if self.note else ''}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line: a version or an organ, one metric, and a cell for each column.

    Attributes:
        head: version or organ.
        detail: such as the number of cases.
        metric: Dice or Surface Dice.
        cells: as many as the table has columns.
        muted: whether it counts in no mean.
    """

    head: str
    detail: str
    metric: str
    cells: tuple[Cell, ...]
    muted: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class ScoreTable:
    """A table of scores.

    Attributes:
        name: of its files.
        caption: what it shows.
        columns: heads of the cells.
        rows: two for each head, Dice and Surface Dice.
        notes: sentences on its marks, and on what is missing.
        tidy: the numbers behind it, in [0, 1].
    """

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    tidy: pl.DataFrame


def label_quality_table(run: Run, results: Results) -> ScoreTable | None:
    """Table 1: how well label versions agree with the reference labels; None without scores."""
    if results.label_summary.is_empty():
        return None
    return ScoreTable(
        name="label-quality",
        caption="Agreement of label versions with the reference labels: Dice and Surface Dice, "
        "mean ± standard deviation in percent.",
        columns=tuple(_counted(d.name, d.sound_cases) for d in run.datasets),
        rows=_version_rows(run, run.versions, lambda d, v: results.labels(d.name, v), lambda d: d.sound_cases, {}),
        notes=(*mark_notes(run, run.versions), BOLD),
        tidy=results.label_summary,
    )


def in_domain_table(run: Run, results: Results) -> ScoreTable | None:
    """How well the networks trained on each label version do on held-out cases; None where none was tested."""
    tidy, failed = add_failed_seeds(run, results.model_summary), count_failed(run.failed_networks)
    if tidy.is_empty():
        return None
    return ScoreTable(
        name="in-domain",
        caption="Networks trained on each label version, tested on held-out cases against the reference labels: "
        "Dice and Surface Dice, mean ± standard deviation in percent.",
        columns=tuple(_counted(d.name, _count_held_out(d)) for d in run.datasets),
        rows=_version_rows(
            run,
            (run.reference, *run.versions),
            lambda d, v: results.model(d.name, v),
            _count_held_out,
            failed,
        ),
        notes=(*mark_notes(run, run.versions), BOLD, *failed_notes(run)),
        tidy=tidy,
    )


def transfer_table(run: Run, results: Results, transfer: Transfer) -> ScoreTable | None:
    """Tables 2 and 3: networks pre-trained on each label version, then fine-tuned on a target's reference labels.

    None where none was tested.
    """
    target, held_out = transfer.target, len(transfer.held_out)
    tidy = add_failed_seeds(run, results.transfers[target], target)
    if tidy.is_empty():
        return None
    rows = _version_rows(
        run, (NO_PRETRAIN, run.reference, *run.versions), lambda d, v: results.transfer(target, d.name, v),
        lambda d: held_out, count_failed(run.failed_networks, target),
    )  # fmt: skip
    return ScoreTable(
        name=f"transfer-{target}",
        caption=f"Networks pre-trained on each label version, fine-tuned on the reference labels of {target} and "
        f"tested on its {count_noun(held_out, 'held-out case')}: Dice and Surface Dice, mean ± standard deviation in "
        "percent.",
        columns=tuple(dataset.name for dataset in run.datasets),
        rows=_colour_quintiles(rows),
        notes=(*mark_notes(run, run.versions), BOLD, "Colours order means, however little they differ.",
               "Columns: the dataset of the label versions. Coloured by quintile of a column and metric, from worst to "
               "best.", *failed_notes(run, target)),
        tidy=tidy,
    )  # fmt: skip


def label_organ_table(run: Run, results: Results, dataset: RunDataset) -> ScoreTable:
    """How well pseudo-labels agree with the reference labels, organ by organ; without columns where none has scores."""
    caption = f"{dataset.name}: agreement of labels, organ by organ."
    return _organ_table(run, dataset, results.label_organs, "label-quality-organs", caption, {})


def network_organ_table(run: Run, results: Results, dataset: RunDataset) -> ScoreTable:
    """How well networks do on held-out cases, organ by organ; without columns where none was tested."""
    failed = {v: count for (name, v), count in count_failed(run.failed_networks).items() if name == dataset.name}
    caption = f"{dataset.name}: networks on held-out cases, organ by organ."
    return _organ_table(run, dataset, results.model_organs, "in-domain-organs", caption, failed)


def _organ_table(
    run: Run, dataset: RunDataset, scores: pl.DataFrame, name: str, caption: str, failed: Mapping[str, int]
) -> ScoreTable:
    """A table of one dataset with a row for each organ and a column for each label version.

    Args:
        run: the run.
        dataset: whose organs.
        scores: `label_organs` or `model_organs` of the results.
        name: of the table's files, without the dataset's.
        caption: what it shows.
        failed: label version -> how many of its networks failed; empty for label versions themselves.
    """
    dataset_scores = scores.filter(pl.col("dataset") == dataset.name) if not scores.is_empty() else scores
    present = set(dataset_scores["version"].unique()) if not dataset_scores.is_empty() else set()
    versions = [version for version in (run.reference, *dataset.versions) if version in present or version in failed]
    if "seeds" in dataset_scores.columns:
        counts = [failed.get(version, 0) for version in dataset_scores["version"]]
        dataset_scores = dataset_scores.with_columns(pl.Series("seeds_failed", counts, pl.Int64))
    numbers = {(row["version"], row["label"]): row for row in dataset_scores.iter_rows(named=True)}
    blanks = [Cell(failed=version not in present) for version in versions]
    rows = [
        row
        for label, organ in dataset.labels.items()
        for row in _organ_rows(
            organ, [numbers.get((v, label)) for v in versions], blanks, muted=label not in dataset.common
        )
    ]
    return ScoreTable(
        name=f"{name}-{dataset.name}",
        caption=caption,
        columns=tuple(_head_organs(run, dataset_scores, version, failed.get(version, 0)) for version in versions),
        rows=tuple(rows),
        notes=(
            *_excluded_notes(dataset),
            *mark_notes(run, versions),
            *(failed_notes(run, dataset=dataset.name) if failed else ()),
        ),
        tidy=dataset_scores,
    )


Lookup = Callable[[RunDataset, str], MeanScore | None]


def _version_rows(
    run: Run,
    versions: Sequence[str],
    score: Lookup,
    expected: Callable[[RunDataset], int | None],
    failed: Mapping[tuple[str, str], int],
) -> tuple[Row, ...]:
    """Two rows for each version; the best of each column are marked, and cells of fewer cases or seeds are noted."""
    rows = []
    for version in versions:
        scores = [score(dataset, version) for dataset in run.datasets]
        fails = [failed.get((dataset.name, version), 0) for dataset in run.datasets]
        counts = [
            ", ".join(filter(None, (_note_count(s.cases, expected(d)), note_seeds(run, s.seeds, n)))) if s else ""
            for s, d, n in zip(scores, run.datasets, fails, strict=True)
        ]
        for metric, title in METRICS.items():
            cells = tuple(
                _make_cell(getattr(s, metric), getattr(s, f"{metric}_std"), note if metric == "dice" else "")
                if s
                else Cell(failed=n > 0)
                for s, note, n in zip(scores, counts, fails, strict=True)
            )
            rows.append(Row(mark_version(run, version), "", title, cells))
    return _mark_best(rows, skip=(run.reference, NO_PRETRAIN))


def _organ_rows(
    organ: str, numbers: Sequence[Mapping[str, Any] | None], blanks: Sequence[Cell], *, muted: bool
) -> list[Row]:
    most = max((n["n"] for n in numbers if n), default=0)
    rows = []
    for metric, title in METRICS.items():
        cells = tuple(
            _make_cell(n[metric], n[f"{metric}_std"], _note_count(n["n"], most) if metric == "dice" else "")
            if n and n["n"]
            else blank
            for n, blank in zip(numbers, blanks, strict=True)
        )
        rows.append(Row(organ, f"n = {most}", title, cells, muted))
    return rows


def _mark_best(rows: Sequence[Row], skip: Collection[str]) -> tuple[Row, ...]:
    """Mark the best cells of each column and metric, all that show the same number; none where there is only one."""
    means: dict[tuple[str, int], list[float]] = {}
    for row in rows:
        for column, cell in enumerate(row.cells):
            if cell.mean is not None and row.head not in skip:
                means.setdefault((row.metric, column), []).append(_round_as_shown(cell.mean))
    best = {place: max(numbers) for place, numbers in means.items() if len(numbers) > 1}
    return tuple(
        replace(
            row,
            cells=tuple(
                replace(
                    cell,
                    best=row.head not in skip
                    and cell.mean is not None
                    and _round_as_shown(cell.mean) == best.get((row.metric, column)),
                )
                for column, cell in enumerate(row.cells)
            ),
        )
        for row in rows
    )


def _round_as_shown(mean: float) -> float:
    """A mean in percent in the digits that tables show."""
    return float(f"{mean:.1f}")


def _colour_quintiles(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Give each cell its quintile among those of its column and metric."""
    fifths: dict[tuple[str, int], Iterator[int | None]] = {
        (metric, column): iter(quintiles([row.cells[column].mean for row in rows if row.metric == metric]))
        for metric in METRICS.values()
        for column in range(len(rows[0].cells))
    }
    return tuple(
        replace(row, cells=tuple(replace(c, fifth=next(fifths[row.metric, i])) for i, c in enumerate(row.cells)))
        for row in rows
    )


def _make_cell(mean: float | None, std: float | None, note: str) -> Cell:
    if mean is None or std is None:
        return Cell()
    # Rounded as in the csv files first, so that page and csv agree in every digit.
    return Cell(100 * round(mean, DIGITS), 100 * round(std, DIGITS), note)


def _head_organs(run: Run, scores: pl.DataFrame, version: str, failed: int) -> str:
    """The head of a label version's column, with the number of seeds where some are missing."""
    kept = scores.filter(pl.col("version") == version)["seeds"].to_list() if "seeds" in scores.columns else []
    seeds = note_seeds(run, max(kept, default=None), failed)
    return f"{mark_version(run, version)}{f' ({seeds})' if seeds else ''}"


def _note_count(count: int, expected: int | None) -> str:
    return f"n = {count}" if expected is not None and count != expected else ""


def _counted(name: str, cases: int | None) -> str:
    return name if cases is None else f"{name} ({count_noun(cases, 'case')})"


def _count_held_out(dataset: RunDataset) -> int | None:
    return len(dataset.held_out) if dataset.splits else None


def _excluded_notes(dataset: RunDataset) -> tuple[str, ...]:
    excluded = [organ for label, organ in dataset.labels.items() if label not in dataset.common]
    return (f"Not in the mean over organs: {', '.join(excluded)}.",) if excluded else ()
