"""Our numbers and the paper's, side by side, where the paper has such a label version of the same dataset.

Whatever is known to differ from the paper (tool, cases, organs, convention, training) is said below the table. A label
version whose tool or variant has no counterpart in the paper, or was not recorded, is left out, whatever its name.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from coordinator.report.texttables import TextTable
from coordinator.report.training import training_differences
from coordinator.results import paper
from coordinator.results.run import Run, RunDataset, Transfer
from coordinator.results.summaries import METRICS, MeanScore, Results
from coordinator.study.settings import TrainSettings
from coordinator.study.steps import BASE, NO_PRETRAIN
from coordinator.verdict.sentences import count_noun, format_points, join_names


@dataclass(frozen=True, slots=True)
class _Match:
    """One of our scores and the cell of the paper beside it."""

    version: str
    dataset: str
    score: MeanScore
    cell: dict[str, float]


def compare_with_paper(run: Run, results: Results) -> list[TextTable]:
    """A table for each of the paper's tables that has cells of this study."""
    tables = [_compare_labels(run, results)]
    tables += [_compare_transfer(run, results, t) for t in run.transfers if t.target in paper.TARGETS]
    return [table for table in tables if table]


def _compare_labels(run: Run, results: Results) -> TextTable | None:
    matches = [
        _Match(version, dataset.name, score, cell)
        for version in run.versions
        for dataset in run.datasets
        if (score := results.labels(dataset.name, version))
        and (cell := _find_cell(run, "label_quality", version, dataset))
    ]
    return _make_table("label_quality", "Table 1 (labels)", matches, _notes(run, matches))


def _compare_transfer(run: Run, results: Results, transfer: Transfer) -> TextTable | None:
    paper_table = paper.TARGETS[transfer.target]
    matches = [
        _Match(version, dataset.name, score, cell)
        for version in (NO_PRETRAIN, run.reference, *run.versions)
        for dataset in run.datasets
        if (score := results.transfer(transfer.target, dataset.name, version))
        and (cell := _find_cell(run, paper_table, version, dataset))
    ]
    number = "Table 2" if paper_table == "segthor" else "Table 3"
    difference = paper.OTHER_TARGETS.get(transfer.target)
    notes = (*([f"{difference}."] if difference else []), *_notes(run, matches), *_training_notes(run))
    return _make_table(paper_table, f"{number} (fine-tuned on {transfer.target})", matches, notes)


def _find_cell(run: Run, paper_table: str, version: str, dataset: RunDataset) -> dict[str, float] | None:
    """The paper's cell of a label version by the tool that made it; None where the paper has none."""
    if run.reference != BASE:  # the paper knows no other labels than the datasets' own
        return None
    if version in (BASE, NO_PRETRAIN):
        return paper.cell(paper_table, version, dataset.name)
    generator = _find_generator(run, version, dataset.name)
    return paper.cell(paper_table, generator.version, dataset.name) if generator else None


def _find_generator(run: Run, version: str, dataset: str) -> paper.Generator | None:
    """The paper's generator that the recorded tool and variant of a label version stand for."""
    records = (t.record for t in run.tools if t.makes_labels and (t.version, t.dataset) == (version, dataset))
    record = next(records, {})
    return paper.GENERATORS.get((str(record.get("tool")), str(record.get("variant"))))


def _make_table(paper_table: str, title: str, matches: Sequence[_Match], notes: Sequence[str]) -> TextTable | None:
    rows = [
        (m.version, m.dataset, metric, 100 * getattr(m.score, metric), m.cell[metric])
        for m in matches
        for metric in METRICS
    ]
    if not rows:
        return None
    return TextTable(
        name=f"beside-paper-{paper_table.replace('_', '-')}",
        caption=f"Compared with the paper's {title}: mean in percent.",
        columns=("label version", "dataset", "metric", "ours", "paper", "difference"),
        rows=tuple(
            (version, dataset, METRICS[metric], f"{our_mean:.1f}", f"{paper_mean:.1f}",
             format_points((our_mean - paper_mean) / 100))
            for version, dataset, metric, our_mean, paper_mean in rows
        ),
        notes=tuple(notes),
        tidy=pl.DataFrame(rows, schema=["version", "dataset", "metric", "ours", "paper"], orient="row"),
    )  # fmt: skip


def _notes(run: Run, matches: Sequence[_Match]) -> tuple[str, ...]:
    """What differs from the paper in the cells that are compared."""
    datasets = [dataset for dataset in run.datasets if dataset.name in {match.dataset for match in matches}]
    return (
        "Differences have no test: other cases or seeds would change them too.",
        *_describe_generators(run, matches),
        *(note for dataset in datasets if (note := _describe_size(dataset))),
        f"Ours are scored by the convention {run.score.empty} with a tolerance of {run.tolerances}; the paper states "
        "neither a rule for empty masks nor a tolerance.",
    )


def _describe_generators(run: Run, matches: Sequence[_Match]) -> Iterator[str]:
    """A sentence on each label version whose tool is not quite the paper's."""
    differences = {
        match.version: generator.difference
        for match in matches
        if (generator := _find_generator(run, match.version, match.dataset)) and generator.difference
    }
    for version, difference in differences.items():
        yield f"{version} {difference}."


def _describe_size(dataset: RunDataset) -> str:
    """A sentence on a dataset of which we have other cases, or means over other organs, than the paper."""
    name = paper.DATASETS.get(dataset.name, dataset.name)
    cases, organs = paper.SIZES[name]
    organs -= paper.DROPPED_ORGANS.get(name, 0)
    parts = []
    if dataset.sound_cases not in (None, cases):
        parts.append(f"{count_noun(dataset.sound_cases or 0, 'case')} (the paper has {cases})")
    if len(dataset.common) != organs:
        parts.append(f"means over {count_noun(len(dataset.common), 'organ')} (the paper's are over {organs})")
    return f"{dataset.name}: {join_names(parts)}." if parts else ""


def _training_notes(run: Run) -> tuple[str, ...]:
    differences = training_differences(TrainSettings.model_validate(run.train or {}))
    seeds = f"Ours are of {count_noun(len(run.seeds), 'seed')}; the paper names no number of seeds."
    settings = f"Training differs in what the paper states: {', '.join(differences)}." if differences else ""
    unstated = "Much of the training the paper does not state; the methods section lists what is ours."
    return tuple(note for note in (seeds, settings, unstated) if note)
