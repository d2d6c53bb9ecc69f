"""`coordinator dataset check`: the audit of dataset folders."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from contract import atomic
from contract.datasets import open_dataset, refuse_dataset_folder
from contract.errors import ExitCode, UsageError
from coordinator.cli.progressbar import show_progress_bar

if TYPE_CHECKING:
    from coordinator.datasets.audit.audit import Audit
    from coordinator.datasets.audit.findings import Finding
    from coordinator.datasets.audit.repairs import Repaired

PIPE_WIDTH = 160
"""Columns of the table where nobody says how wide the terminal is."""


@click.command("check")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FOLDER...")
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page with a slice of each finding."
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write all findings as JSON."
)
@click.option(
    "--fix", type=click.Path(path_type=Path), metavar="NEW_FOLDER",
    help="Make a new dataset folder in which what is certain is repaired.",
)  # fmt: skip
@click.option(
    "--cache", type=click.Path(path_type=Path, dir_okay=False),
    help="Keep what was read in this file: an audit that was broken off goes on.",
)  # fmt: skip
@click.pass_context
def check_command(
    context: click.Context, folders: tuple[Path, ...], html: Path | None, json_file: Path | None, fix: Path | None,
    cache: Path | None,
) -> None:  # fmt: skip
    """Audit the datasets in FOLDERs: read every file, and print all that is wrong or odd, worst first.

    \b
    unusable   the case is set aside: no step of a study uses it
    wrong      almost surely an error, such as left and right swapped
    suspect    an error in most cases
    odd        unlike the other cases, perhaps right

    Labels without a finding are not proved right. Of several datasets, scans that more than one of them has are named,
    too. --fix rounds labels that are stored as fractions, swaps left and right where every other sign confirms it, and
    makes a qform agree with its sform; FOLDER is never written to.

    \b
    Exit code: 0 every case can be used (perhaps with findings), 2 no dataset, 3 some cases can't be used.
    """
    from coordinator.datasets.audit.audit import audit_datasets
    from coordinator.datasets.audit.repairs import check_target, repair_dataset

    places = [_absolute(folder) for folder in folders]
    if twice := next((place for place in places if places.count(place) > 1), None):
        raise UsageError(f"{twice}: each FOLDER must be another one, but this one came twice; name it once")
    datasets = [open_dataset(place.parent, place.name) for place in places]
    if fix is not None and len(datasets) > 1:
        raise UsageError("--fix: takes one FOLDER at a time, since it makes one new folder; name one of them")
    if fix is not None:
        fix = _absolute(fix)
        check_target(datasets[0], fix)
    _check_files({"--html": html, "--json": json_file, "--cache": cache}, places)
    with show_progress_bar("auditing") as show_progress:
        audits = audit_datasets(datasets, cache, show_progress)
    for audit in audits:
        _print_audit(audit, len(audits) > 1)
    if json_file is not None:
        atomic.write_json(json_file, {"datasets": [audit.summary() for audit in audits]})
    if html is not None:
        _write_page(audits, html)
    if fix is not None:
        audited = {file: sha256 for file, (sha256, _) in audits[0].check.files.items()}
        _print_repairs(fix, repair_dataset(datasets[0], audits[0].findings, fix, audited))
    context.exit(ExitCode.CASES_FAILED if any(audit.check.set_aside for audit in audits) else ExitCode.DONE)


def _check_files(files: Mapping[str, Path | None], datasets: Sequence[Path]) -> None:
    """Refuse, before hours of reading, a place where a file can't be written.

    Raises:
        UsageError: its folder does not exist or lies in a dataset folder, or two options name one file.
    """
    options: dict[Path, str] = {}
    for option, file in files.items():
        if file is None:
            continue
        folder = file.absolute().parent
        refuse_dataset_folder(folder, *datasets)
        if not folder.is_dir():
            raise UsageError(f"{option}: {file}: its folder must exist, but {folder} does not; make it first")
        if other := options.get(file.resolve()):
            raise UsageError(f"{option}: {file}: must be another file than that of {other}; choose another name")
        options[file.resolve()] = option


def _print_audit(audit: "Audit", is_named: bool) -> None:
    """The table of a dataset's findings, then how many there are of each kind."""
    from coordinator.datasets.audit.findings import count_kinds

    if is_named:
        click.echo(f"\n{audit.dataset.name}")
    if audit.findings:
        width = None if sys.stdout.isatty() else PIPE_WIDTH
        console = Console(highlight=False, markup=False, emoji=False, width=width)
        with console.capture() as shown:
            console.print(_make_table(audit.findings))
        click.echo("\n".join(line.rstrip() for line in shown.get().splitlines()))
    for case, reason in audit.check.excluded.items():
        click.echo(f"excluded: {case}: {reason}")
    for weight, kind, count in count_kinds(audit.findings):
        click.echo(f"{count:>5}  {weight}: {kind}")
    click.echo(f"{len(audit.check.cases)} of {len(audit.check.checks)} cases can be used")


def _make_table(findings: Sequence["Finding"]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("weight", "case", "organ"):
        table.add_column(column, overflow="fold")
    table.add_column("what was found -> what to do", overflow="fold", ratio=1)
    for finding in findings:
        weight = finding.weight.name.lower()
        table.add_row(weight, finding.case or "-", finding.organ or "-", f"{finding.text} -> {finding.advice}")
    return table


def _write_page(audits: Sequence["Audit"], file: Path) -> None:
    from contract.processes import count_processes
    from coordinator.datasets.audit.audit import MEASURING
    from coordinator.datasets.check import announced_bytes
    from coordinator.report.auditpage import render_audit

    largest = max(announced_bytes(audit.dataset, case) for audit in audits for case in audit.check.checks)
    atomic.write_text(file, render_audit(audits, count_processes(MEASURING * largest)))
    click.echo(f"page: {file}")


def _print_repairs(folder: Path, repaired: Sequence["Repaired"]) -> None:
    if not repaired:
        click.echo("nothing was found that is certain to repair; no folder was made")
        return
    for file in repaired:
        click.echo(f"repaired: {file.file}: {'; '.join(file.repairs)}")
    click.echo(f"{len(repaired)} files repaired; next: coordinator dataset check {folder}")


def _absolute(folder: Path) -> Path:
    """The folder with its parents; a link keeps its own name, as in a study."""
    if folder.name not in ("", ".."):
        return folder.parent.resolve() / folder.name
    here = Path(os.environ.get("PWD", ""))  # the way by which a shell came here; the system only knows the real folder
    return here if folder == Path() and here.is_absolute() and here.resolve() == Path.cwd() else folder.resolve()
