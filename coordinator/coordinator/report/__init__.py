"""The report of a study: what its run folder holds, as one page, and as tables and figures for a paper.

    run folder ──► load ──► results ──┬──► findings ──► verdict   is it worth it? shown first
                                      ├──► tables, cases, dose, worklist, beside   csv, md, tex
                                      ├──► scatter, figures, overlays (which reads images and label maps)   svg, png
                                      ├──► methods   bib
                                      └──► reading ──► page   index.html, needs nothing but a browser

The same results give the same bytes: nothing in it tells when, where or how fast the study ran.
"""

from pathlib import Path

from contract.errors import UsageError
from coordinator.report import (
    cases,
    figures,
    methods,
    overlays,
    page,
    scatter,
    sheets,
    tables,
    verdict,
)  # fmt: skip
from coordinator.report.beside import beside_the_paper
from coordinator.report.dose import dose_response
from coordinator.report.rankings import changed_rankings
from coordinator.report.worklist import worklist
from coordinator.results import summaries
from coordinator.results.load import load_run
from coordinator.results.run import Run
from coordinator.results.summaries import Results
from coordinator.verdict import observations, sentences
from coordinator.verdict.decide import findings
from coordinator.verdict.dose import dose_steps


def write_report(run: Path, out: Path) -> Path:
    """Write the report of a run.

    Args:
        run: the run folder; whatever is missing in it but `study.yaml` and `plan.json` is reported as missing.
        out: a folder that exists and is empty.

    Returns:
        The page, `out/index.html`; beside it are the folders `tables` and `figures`.

    Raises:
        UsageError: `out` is no empty folder, or `run` is no run folder.
    """
    if not out.is_dir() or any(out.iterdir()):
        raise UsageError(f"{out}: report folder must exist and be empty, but is not; give another")
    loaded = load_run(run)
    content = _content(run, loaded, summaries.compute(loaded))
    for name in ("tables", "figures"):
        (out / name).mkdir()
    single = [table for table in (content.label_quality, content.in_domain) if table]
    for table in (*single, *content.label_organs, *content.model_organs, *content.transfers):
        tables.write(table, out / "tables")
    for sheet in (*content.verdict, *content.doses, *content.worklist, *content.beside, *content.rankings):
        sheets.write(sheet, out / "tables")
    for case_table in content.cases:
        case_table.write(out / "tables")
    for picture in (*content.scatters, *content.curves, *content.dose_curves, *content.overlays):
        picture.write(out / "figures")
    (out / "references.bib").write_text(content.methods.bibliography.bibtex, encoding="utf-8", newline="\n")
    index = out / "index.html"
    index.write_text(page.html(loaded, content), encoding="utf-8", newline="\n")
    return index


def _content(folder: Path, run: Run, found_in: Results) -> page.Content:
    """Tables and figures of everything that has results."""
    label_organs = [
        tables.organs(
            run, d, found_in.label_organs, "label-quality-organs", f"{d.name}: agreement of labels, organ by organ."
        )
        for d in run.datasets
    ]
    model_organs = [
        tables.organs(
            run, d, found_in.model_organs, "in-domain-organs", f"{d.name}: networks on held-out cases, by organ."
        )
        for d in run.datasets
    ]
    scores = {dataset.name: cases.per_case(run, dataset) for dataset in run.datasets}
    case_tables = (cases.table(run, dataset, scores[dataset.name]) for dataset in run.datasets)
    drawn = [overlays.overlays(folder, run.data, dataset, scores[dataset.name]) for dataset in run.datasets]
    scatters = (scatter.in_domain(run, found_in, dataset) for dataset in run.datasets)
    curves = (figures.training_curves(run, dataset) for dataset in run.datasets)
    found = findings(run, found_in)
    doses = [(d, steps) for d in run.datasets if (steps := dose_steps(run, found_in, d))]
    dose_curves = (figures.dose_response(dataset, steps) for dataset, steps in doses)
    work = worklist(run)
    return page.Content(
        answers=list(sentences.sentences(found, run.verdict)),
        verdict=verdict.sheets(found, run.verdict),
        transfers=[
            tables.transfer(run, found_in, to) for to in run.transfers if not found_in.transfers[to.target].is_empty()
        ],
        doses=[dose_response(run, dataset, steps) for dataset, steps in doses],
        dose_curves=[picture for picture in dose_curves if picture],
        worklist=[work] if work else [],
        beside=beside_the_paper(run, found_in),
        rankings=[ranked] if (ranked := changed_rankings(run)) else [],
        reading=observations.sentences(run, found_in),
        label_quality=None if found_in.label_summary.is_empty() else tables.label_quality(run, found_in),
        label_organs=[table for table in label_organs if table.columns],
        in_domain=None if found_in.model_summary.is_empty() else tables.in_domain(run, found_in),
        model_organs=[table for table in model_organs if table.columns],
        scatters=[picture for picture in scatters if picture],
        curves=[picture for picture in curves if picture],
        cases=[table for table in case_tables if table],
        overlays=[picture for pictures, _ in drawn for picture in pictures],
        not_shown=[note for _, notes in drawn for note in notes],
        methods=methods.methods(run),
    )
