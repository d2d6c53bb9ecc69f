"""`coordinator dataset`: make a phantom, describe a public dataset, import one, audit one."""

from pathlib import Path

import click

from coordinator.cli.auditing import check_command
from coordinator.cli.importing import import_command


@click.group()
def dataset() -> None:
    """Make, describe, import and check dataset folders."""


dataset.add_command(import_command)
dataset.add_command(check_command)


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
