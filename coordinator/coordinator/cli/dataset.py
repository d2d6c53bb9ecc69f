"""`coordinator dataset`: make a phantom, describe a public dataset, import one, check a dataset folder."""

import os
from pathlib import Path

import click

from contract.datasets import open_dataset
from contract.errors import ExitCode
from coordinator.cli.importing import import_command


@click.group()
def dataset() -> None:
    """Make, describe, import and check dataset folders."""


dataset.add_command(import_command)


@dataset.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--cases", default=12, show_default=True, type=click.IntRange(1, 10_000), help="Number of cases.")
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0, 2**31 - 1), help="Each seed makes other cases."
)
def phantom(folder: Path, cases: int, seed: int) -> None:
    """Make an artificial abdominal CT dataset in FOLDER, to try things out."""
    from coordinator.datasets.phantom import make_phantom

    make_phantom(folder, cases=cases, seed=seed)
    click.echo(f"{cases} cases in {folder}")


@dataset.command()
@click.argument("name", required=False)
def describe(name: str | None) -> None:
    """Print the dataset.yaml of a public dataset NAME; without NAME, list all names.

    The label mappings that come with tools use these names of organs, and are found by the dataset's name.
    """
    from coordinator.datasets.known import description_file, known_datasets

    if name is None:
        click.echo("\n".join(known_datasets()))
    else:
        click.echo(description_file(name).read_text(encoding="utf-8"), nl=False)


@dataset.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.pass_context
def check(context: click.Context, folder: Path) -> None:
    """Read every file of the dataset in FOLDER, and print all that is wrong or odd.

    \b
    Exit code: 0 sound (perhaps with warnings), 2 no dataset, 3 some cases cannot be used.
    """
    from coordinator.datasets.check import check_dataset

    folder = _absolute(folder)
    dataset_check = check_dataset(open_dataset(folder.parent, folder.name))
    for case, errors in dataset_check.set_aside.items():
        for error in errors:
            click.echo(f"error: {case}: {error}")
    for warning in dataset_check.summary()["warnings"]:
        click.echo(f"warning: {warning}")
    for case, reason in dataset_check.excluded.items():
        click.echo(f"excluded: {case}: {reason}")
    click.echo(f"{len(dataset_check.cases)} of {len(dataset_check.checks)} cases can be used")
    context.exit(ExitCode.CASES_FAILED if dataset_check.set_aside else ExitCode.DONE)


def _absolute(folder: Path) -> Path:
    """The folder with its parents; a link keeps its own name, as in a study."""
    if folder.name not in ("", ".."):
        return folder.parent.resolve() / folder.name
    here = Path(os.environ.get("PWD", ""))  # the way by which a shell came here; the system only knows the real folder
    return here if folder == Path() and here.is_absolute() and here.resolve() == Path.cwd() else folder.resolve()
