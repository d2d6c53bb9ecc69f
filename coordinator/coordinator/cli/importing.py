"""`coordinator dataset import`: make a dataset folder of what somebody else has laid out."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from contract.datasets import DESCRIPTION
from contract.errors import ExitCode, UsageError
from coordinator.cli.progressbar import show_progress_bar
from coordinator.datasets.importing import importer, record
from coordinator.datasets.importing.archives import is_archive
from coordinator.datasets.importing.cases import SourceCase
from coordinator.datasets.importing.files import plan_way
from coordinator.datasets.importing.recognise import LAYOUT_NAMES

MOST_OVERLAPS = 10
"""Cases with overlapping masks that are named; import.json lists all."""


@click.command("import")
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@click.option("--as", "name", help="Name of the dataset; default: that of the public dataset, or SRC's.")
@click.option(
    "--into", "data", default="data", show_default=True, type=click.Path(path_type=Path, file_okay=False),
    help="Folder of dataset folders.",
)  # fmt: skip
@click.option("--layout", type=click.Choice(LAYOUT_NAMES), help="How SRC is laid out; default: what fits.")
@click.option("--dry-run", is_flag=True, help="Print what would be done with each case, and do nothing.")
@click.pass_context
def import_command(
    context: click.Context, source: Path, name: str | None, data: Path, layout: str | None, *, dry_run: bool
) -> None:
    """Make a dataset folder of SRC, a folder or archive: a published dataset, nnU-Net's, MSD's, BIDS's, DICOM, yours.

    Files that can serve as they are become links, others are written anew as .nii.gz. SRC is only read. Masks of single
    organs are merged: a voxel in several masks goes to the organ with the fewest voxels in that case, and of two with
    equally many to the one with the lower label id; import.json counts such voxels. DICOM series are converted, and
    nothing that headers say of a person is written. A second import does nothing, one that was broken off goes on.

    \b
    Exit code: 0 all imported, 2 it can't be imported, 3 some cases were set aside (they are named).
    """
    prepared = importer.prepare_import(importer.Request(source, data, name, layout))
    earlier = importer.find_finished(prepared)
    if dry_run:
        _print_table(prepared)
    _print_lines(_describe_source(prepared))
    if dry_run:
        return
    if earlier is None:
        with show_progress_bar("importing") as show_progress:
            earlier = importer.run_import(prepared, show_progress)
        _print_lines(_describe_result(prepared, earlier))
    else:
        click.echo(
            f"{prepared.folder}: imported already from the same files: {len(earlier.names)} cases; nothing was done"
        )
    for case, problem in earlier.set_aside.items():
        click.echo(f"error: {case}: set aside: {problem}", err=True)
    context.exit(ExitCode.CASES_FAILED if earlier.set_aside else ExitCode.DONE)


def refuse_sources(names: Sequence[str], data: Path) -> None:
    """Refuse names of a study's datasets that are folders or archives to be imported first.

    Args:
        names: of datasets, or what the user took for such.
        data: folder of dataset folders.

    Raises:
        UsageError: one of them is no dataset folder, but there is something of that name; it gives the command.
    """
    for name in names:
        places = [data / name, Path(name)] if name.strip("./") else []
        if any((place / DESCRIPTION).is_file() for place in places):
            continue
        for place in places:
            if place.is_dir() or is_archive(place):
                command = ["coordinator", "dataset", "import", str(place), "--into", str(data)]
                raise UsageError(
                    f"{place}: must be a dataset folder, but has no {DESCRIPTION}; make one of it first: "
                    f"{shlex.join(command)}"
                )


def _print_table(prepared: importer.Prepared) -> None:
    """A line for each case; it is as wide as its paths are, and can be searched and cut."""
    rows = [("case", "image", "labels", "what is done")]
    for case in prepared.found.cases:
        rows.append((case.name, *_describe_files(case), _describe_way(prepared, case)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        click.echo("  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[-1]]))


def _describe_files(case: SourceCase) -> tuple[str, str]:
    """Where the image and the labels of a case lie."""
    if case.scan is not None:
        folder = case.scan.series.files[0].rpartition("/")[0] or "."
        image = f"{folder} (series {case.scan.series.number}, {case.scan.series.slices} slices)"
        return image, f"{case.scan.labels.file} ({case.scan.labels.kind})" if case.scan.labels else "none"
    return case.image, case.labels or f"{len(case.masks)} masks, such as {next(iter(case.masks.values()))}"


def _describe_way(prepared: importer.Prepared, case: SourceCase) -> str:
    if case.scan is not None:
        return f"set aside: {case.scan.problem}" if case.scan.problem else "converted"
    source, data = prepared.request.source, prepared.request.data
    if source.is_file():
        return "unpacked" if case.labels else "image: unpacked, labels: masks merged"
    image = plan_way(source / case.image, data)
    labels = plan_way(source / case.labels, data) if case.labels else "masks merged"
    return image if image == labels else f"image: {image}, labels: {labels}"


def _describe_source(prepared: importer.Prepared) -> Iterator[str]:
    """What was recognised, under which terms it stands, and what is left out."""
    found, about = prepared.found, prepared.found.description
    yield f"{prepared.request.source}: layout {found.layout}, {len(found.cases)} cases -> {prepared.folder}"
    yield f"licence: {about.licence or 'not stated; ask its authors before you use or share it'}"
    if about.citation:
        yield f"citation: {about.citation.strip()}"
    if about.source:
        yield f"source: {about.source}"
    yield from (f"note: {note}" for note in found.notes)
    yield from importer.count_left_out(found.left_out)
    yield from (f"skipped: {count} {kind}" for kind, count in prepared.listing.skipped.items())


def _describe_result(prepared: importer.Prepared, summary: record.Summary) -> Iterator[str]:
    if summary.overlaps:
        worst = sorted(summary.overlaps.items(), key=lambda item: (-item[1], item[0]))
        named = ", ".join(f"{case} ({n} voxels)" for case, n in worst[:MOST_OVERLAPS])
        more = ", …" if len(worst) > MOST_OVERLAPS else ""
        yield f"masks overlap in {len(worst)} cases: {named}{more}; {record.RECORD} lists the organs"
    yield f"{len(summary.names)} of {len(prepared.found.cases)} cases in {prepared.folder}"
    yield f"next: coordinator dataset check {prepared.folder}"


def _print_lines(lines: Iterator[str]) -> None:
    for line in lines:
        click.echo(line)
