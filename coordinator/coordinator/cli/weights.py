"""`coordinator weights`: what trained weights tools need, getting them, checking them."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from contract.errors import CaseError, ExitCode, UsageError
from coordinator.tools.finding import find_tools
from coordinator.weights import listing as w
from coordinator.weights.download import Downloader, new_session
from coordinator.weights.fetch import Fetcher

WEIGHTS = click.option(
    "--weights", "root", default="weights", show_default=True, type=click.Path(path_type=Path, file_okay=False),
    help="Folder of trained weights.",
)  # fmt: skip
NAMES = click.argument("names", nargs=-1, metavar="[TOOL[-VARIANT]]…")


@click.group()
def weights() -> None:
    """List, fetch and check the trained weights that tools need."""


@weights.command("list")
@WEIGHTS
def list_weights(root: Path) -> None:
    """Show what each tool and variant needs, where it comes from, and whether it is there."""
    rows: list[tuple[str, ...]] = []
    for tool in find_tools().values():
        items = w.list_weights({tool.name: tool})
        without = [v for v in tool.manifest.variants if not any(v in item.variants for item in items)]
        rows += [_row(item, root) for item in items]
        if without:
            rows.append((tool.name, ", ".join(without), "needs none", "", "", "", "", ""))
    _show(("tool", "variant", "weights", "size", "sha256", "licence", "there", "from"), rows)


@weights.command()
@NAMES
@click.option("--all", "everything", is_flag=True, help="The weights of all tools and variants.")
@WEIGHTS
@click.option(
    "--from", "mirror", metavar="FOLDER|URL",
    help="Take them from here: the same file names, or <tool>/<file>; of an archive, the zip or what is in it.",
)  # fmt: skip
@click.option("--accept-terms", is_flag=True, help="Agree to the terms of weights that have some.")
@click.pass_context
def fetch(
    context: click.Context, names: tuple[str, ...], everything: bool, root: Path, mirror: str | None, accept_terms: bool
) -> None:
    """Fetch the weights of tools; TOOL is its default variant, as in a study.

    What is there is left alone; what was broken off goes on; everything is checked before it is put in its place. A
    sha256 that upstream doesn't publish is recorded in WEIGHTS/<tool>/SHA256SUMS, and enforced from then on. Proxies
    are taken from the environment (HTTPS_PROXY).

    \b
    Exit code: 0 all are there, 2 unknown names, 3 some could not be fetched.
    """
    if bool(names) == everything:
        raise UsageError("weights fetch: must be given TOOL[-VARIANT] or --all; `coordinator weights list` shows them")
    tools = find_tools()
    items = w.list_weights(tools) if everything else w.select_weights(tools, names)
    if not items:
        click.echo(f"{', '.join(names)}: needs no weights")
    failed = 0
    with _shown() as display:
        terms = _Terms(accept_terms, display.paused)
        fetcher = Fetcher(root.resolve(), Downloader(new_session()), _mirror(mirror), terms, display.say, display.tell)
        for item in items:
            display.begin(item)
            try:
                display.end(item, fetcher.fetch(item), failed=False)
            except CaseError as error:
                failed += 1
                display.end(item, str(error), failed=True)
    if failed:
        click.echo(f"{failed} of {len(items)} could not be fetched", err=True)
    context.exit(ExitCode.CASES_FAILED if failed else ExitCode.DONE)


@weights.command()
@NAMES
@WEIGHTS
@click.pass_context
def verify(context: click.Context, names: tuple[str, ...], root: Path) -> None:
    """Read all weights that are there, and compare them with what is published or recorded.

    \b
    Exit code: 0 nothing differs (missing ones don't count), 2 unknown names, 3 something differs.
    """
    tools = find_tools()
    rows: list[tuple[str, ...]] = []
    for item in w.select_weights(tools, names) if names else w.list_weights(tools):
        verdict, about = w.verify(item, root)
        rows.append((item.name, verdict, about))
    _show(("weights", "", ""), rows)
    context.exit(ExitCode.CASES_FAILED if any(row[1] == "differs" for row in rows) else ExitCode.DONE)


@dataclass(slots=True)
class _Terms:
    """Asks a person once for each text; without a terminal nobody can be asked."""

    accepted: bool
    paused: Callable[[], None]
    _answers: dict[str, bool] = field(default_factory=dict)

    def __call__(self, item: w.WeightsItem) -> bool:
        terms = item.entry.terms or ""
        if self.accepted:
            return True
        if terms not in self._answers and sys.stdin.isatty():
            self.paused()
            question = f"{item.name} ({item.entry.licence}): {terms}\nDo you agree?"
            self._answers[terms] = click.confirm(question, err=True)
        return self._answers.get(terms, False)


@dataclass(slots=True)
class _Display:
    """A bar a file on a terminal; otherwise lines alone."""

    progress: Progress
    _task: TaskID | None = None

    def begin(self, item: w.WeightsItem) -> None:
        self._task = self.progress.add_task(item.entry.file[-40:], total=None, visible=False)

    def say(self, line: str) -> None:
        self.progress.console.print(Text(line), soft_wrap=True)

    def tell(self, done: int, size: int | None) -> None:
        if self._task is not None:
            self.progress.start()
            self.progress.update(self._task, completed=done, total=size, visible=True)

    def paused(self) -> None:
        self.progress.stop()

    def end(self, item: w.WeightsItem, outcome: str, *, failed: bool) -> None:
        if self._task is not None:
            self.progress.remove_task(self._task)
        line = f"error: {outcome}" if failed else f"{item.name}: {outcome}"
        self.progress.console.print(Text(line, style="red" if failed else ""), soft_wrap=True)


@contextmanager
def _shown() -> Iterator[_Display]:
    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    try:
        yield _Display(progress)
    finally:
        progress.stop()


def _mirror(given: str | None) -> Path | str | None:
    """A folder, or an address.

    Raises:
        UsageError: no such folder.
    """
    if given is None or given.startswith(("http://", "https://")):
        return given
    if not Path(given).is_dir():
        raise UsageError(f"--from: {given} must be a folder or http(s) address, but there is no such folder")
    return Path(given).resolve()


def _row(item: w.WeightsItem, root: Path) -> tuple[str, ...]:
    entry = item.entry
    size = f"{entry.size_mb:g} MB" if entry.size_mb else "?"
    source = f"package {entry.package}" if entry.package else entry.url or f"by hand: {entry.page or '?'}"
    licence = entry.licence + (" (terms)" if entry.terms else "")
    sha256 = w.sha256_source(item, root)
    return item.tool, ", ".join(item.variants), entry.file, size, sha256, licence, w.presence(item, root), source


def _show(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """A table on a terminal; otherwise a line a row with tabs, which other programs can read."""
    console = Console()
    if not console.is_terminal:
        for row in (head, *rows):
            click.echo("\t".join(row))
        return
    table = Table(*head, box=None)
    for row in rows:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    console.print(table)
