"""The report of a study: its results as one page, and as tables and figures for a paper. It concludes nothing itself.

    run folder ──► load ──► results ──► verdict ──┬──► verdict, tables, consistency, cases, distances, dose, mixtures,
                                                  │         worklist, rankings, leaks, papercomparison, paperfindings
                                                  │         └──► tablefiles    csv, md, tex
                                                  ├──► scatter, figures, overlays (these read images)    svg, png
                                                  ├──► methods, training, emptymasks, references    bib
                                                  └──► page    index.html, which needs only a browser

    texttables    a table of plain text; tables has those of scores
    serve         shows the page and the volumes of a run in this machine's browser

The same results give the same bytes: nothing in it depends on when, where or how fast the study ran.
"""

from pathlib import Path

from contract.datasets import refuse_dataset_folder
from contract.errors import UsageError
from coordinator.report import cases, figures, overlays, scatter, tables
from coordinator.report.agreement import agreement_table
from coordinator.report.consistency import consistency_table
from coordinator.report.distances import distance_tables
from coordinator.report.dose import dose_table
from coordinator.report.leaks import describe_no_leaks, leak_table
from coordinator.report.methods import write_methods
from coordinator.report.mixtures import draw_mix_curves, mix_table
from coordinator.report.page import Content, render_page
from coordinator.report.papercomparison import compare_with_paper
from coordinator.report.paperfindings import paper_finding_table
from coordinator.report.rankings import ranking_table
from coordinator.report.tablefiles import write_table
from coordinator.report.verdict import verdict_tables
from coordinator.report.worklist import worklist_table
from coordinator.results.cases import case_scores
from coordinator.results.load import load_run
from coordinator.results.run import Run
from coordinator.results.summaries import Results, compute_results
from coordinator.verdict.decide import findings
from coordinator.verdict.dose import find_improvements
from coordinator.verdict.mixtures import find_curves
from coordinator.verdict.observations import describe_results
from coordinator.verdict.paperfindings import paper_findings
from coordinator.verdict.sentences import describe_findings


def write_report(run: Path, out: Path) -> Path:
    """Write the report of a run.

    Args:
        run: the run folder; all that is missing in it, but `study.yaml` and `plan.json`, is reported as missing.
        out: a folder that exists and is empty.

    Returns:
        The page, `out/index.html`; beside it are the folders `tables` and `figures`.

    Raises:
        UsageError: `out` is not an empty folder or lies in a dataset folder, or `run` is not a run folder.
    """
    refuse_dataset_folder(out)
    if not out.is_dir() or any(out.iterdir()):
        raise UsageError(f"{out}: report folder must exist and be empty, but is not; give another")
    loaded = load_run(run)
    content = _make_content(run, loaded, compute_results(loaded))
    for name in ("tables", "figures"):
        (out / name).mkdir()
    for table in content.tables:
        write_table(table, out / "tables")
    for case_table in content.cases:
        case_table.write(out / "tables")
    for picture in content.pictures:
        picture.write(out / "figures")
    (out / "references.bib").write_text(content.methods.bibliography.bibtex, encoding="utf-8", newline="\n")
    index = out / "index.html"
    index.write_text(render_page(loaded, content), encoding="utf-8", newline="\n")
    return index


def _make_content(folder: Path, run: Run, results: Results) -> Content:
    """Make the tables, figures and sentences of everything that has results."""
    label_organs = [tables.label_organ_table(run, results, dataset) for dataset in run.datasets]
    model_organs = [tables.network_organ_table(run, results, dataset) for dataset in run.datasets]
    scores = {dataset.name: case_scores(run, dataset) for dataset in run.datasets}
    case_tables = (cases.case_table(run, dataset, scores[dataset.name]) for dataset in run.datasets)
    drawn = [overlays.draw_overlays(folder, run, dataset, scores[dataset.name]) for dataset in run.datasets]
    scatters = (scatter.draw_scatter(run, results, dataset) for dataset in run.datasets)
    training_curves = (figures.draw_training_curves(run, dataset) for dataset in run.datasets)
    all_findings = findings(run, results)
    improvements = [(d, gains) for d in run.datasets if (gains := find_improvements(run, results, d))]
    dose_curves = (figures.draw_dose_response(run, dataset, gains) for dataset, gains in improvements)
    curves = find_curves(run)
    mixed = [[curve for curve in curves if curve.dataset == d.name] for d in run.datasets] if run.mix else []
    return Content(
        verdict_sentences=list(describe_findings(all_findings, run.verdict, run.reference)),
        verdict=verdict_tables(all_findings, run),
        observations=describe_results(run, results),
        label_quality=tables.label_quality_table(run, results),
        agreement=[found for d in run.datasets if (found := agreement_table(run, d))],
        consistency=[found for d in run.datasets if (found := consistency_table(run, d))],
        label_organs=[table for table in label_organs if table.columns],
        in_domain=tables.in_domain_table(run, results),
        model_organs=[table for table in model_organs if table.columns],
        transfers=[tuned for t in run.transfers if (tuned := tables.transfer_table(run, results, t))],
        distances=distance_tables(run),
        paper_findings=[t for t in [paper_finding_table(run, paper_findings(run, results, all_findings))] if t],
        dose_tables=[dose_table(run, dataset, gains) for dataset, gains in improvements],
        dose_curves=[picture for picture in dose_curves if picture],
        mix_tables=[mix_table(run, run.mix, found) for found in mixed if run.mix and found],
        mix_curves=[p for found in mixed if run.mix and found and (p := draw_mix_curves(run, run.mix, found))],
        worklist=[table for table in [worklist_table(run)] if table],
        paper_comparisons=compare_with_paper(run, results),
        leaks=[table for table in [leak_table(run)] if table],
        no_leaks=describe_no_leaks(run),
        rankings=[table for table in [ranking_table(run)] if table],
        scatters=[picture for picture in scatters if picture],
        training_curves=[picture for picture in training_curves if picture],
        cases=[table for table in case_tables if table],
        overlays=[picture for pictures, _ in drawn for picture in pictures],
        missing_overlays=[note for _, notes in drawn for note in notes],
        methods=write_methods(run),
    )
