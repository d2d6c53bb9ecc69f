"""`coordinator weights`: list, fetch and verify the trained weights that tools need."""

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

from contract.datasets import refuse_dataset_folder
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
    """List, fetch and verify the trained weights that tools need."""


@weights.command("list")
@WEIGHTS
def list_weights(root: Path) -> None:
    """List the weights of each tool and variant, where they come from, and whether they are there."""
    rows: list[tuple[str, ...]] = []
    for tool in find_tools().values():
        items = w.list_weights({tool.name: tool})
        without_weights = [v for v in tool.manifest.variants if not any(v in item.variants for item in items)]
        rows += [_row(item, root) for item in items]
        if without_weights:
            rows.append((tool.name, ", ".join(without_weights), "needs none", "", "", "", "", ""))
    _print_table(("tool", "variant", "weights", "size", "sha256", "licence", "there", "from"), rows)


@weights.command()
@NAMES
@click.option("--all", "everything", is_flag=True, help="The weights of all tools and variants.")
@WEIGHTS
@click.option(
    "--from", "mirror", metavar="FOLDER|URL",
    help="Take the files from here: <file> or <tool>/<file>; of an archive, the zip or its unpacked content.",
)  # fmt: skip
@click.option("--accept-terms", is_flag=True, help="Agree to all terms of use without being asked.")
@click.pass_context
def fetch(
    context: click.Context, names: tuple[str, ...], everything: bool, root: Path, mirror: str | None, accept_terms: bool
) -> None:
    """Fetch the weights of tools; TOOL alone means its default variant, as in a study.

    Files that are there are skipped, interrupted downloads go on, and every file is verified before it gets its name.
    Where upstream publishes no sha256, the first one is recorded in WEIGHTS/<tool>/SHA256SUMS and enforced from then
    on. Proxies are taken from the environment (HTTPS_PROXY).

    \b
    Exit code: 0 all are there, 2 unknown names, 3 some could not be fetched.
    """
    if bool(names) == everything:
        raise UsageError("weights fetch: must be given TOOL[-VARIANT] or --all; `coordinator weights list` shows them")
    refuse_dataset_folder(root)
    tools = find_tools()
    items = w.list_weights(tools) if everything else w.select_weights(tools, names)
    if not items:
        click.echo(f"{', '.join(names)}: needs no weights")
    failed = 0
    with _open_display() as display:
        terms = _Terms(accept_terms, display.pause)
        downloader, source = Downloader(new_session()), _resolve_mirror(mirror)
        fetcher = Fetcher(root.resolve(), downloader, source, terms, display.print_line, display.show_progress)
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
    """Read all weights that are there, and compare their sha256 with the published or recorded one.

    \b
    Exit code: 0 nothing differs (missing ones don't count), 2 unknown names, 3 something differs.
    """
    tools = find_tools()
    rows: list[tuple[str, ...]] = []
    for item in w.select_weights(tools, names) if names else w.list_weights(tools):
        state, reason = w.verify(item, root)
        rows.append((item.name, state, reason))
    _print_table(("weights", "", ""), rows)
    context.exit(ExitCode.CASES_FAILED if any(row[1] == "differs" for row in rows) else ExitCode.DONE)


@dataclass(slots=True)
class _Terms:
    """Asks the user once for each text of terms; without a terminal nobody can agree."""

    accepted: bool
    pause_display: Callable[[], None]
    _answers: dict[str, bool] = field(default_factory=dict)

    def __call__(self, item: w.WeightsItem) -> bool:
        terms = item.entry.terms or ""
        if self.accepted:
            return True
        if terms not in self._answers and sys.stdin.isatty():
            self.pause_display()
            question = f"{item.name} ({item.entry.licence}): {terms}\nDo you agree?"
            self._answers[terms] = click.confirm(question, err=True)
        return self._answers.get(terms, False)


@dataclass(slots=True)
class _Display:
    """A progress bar for each file on a terminal; elsewhere only lines."""

    progress: Progress
    _task: TaskID | None = None

    def begin(self, item: w.WeightsItem) -> None:
        self._task = self.progress.add_task(item.entry.file[-40:], total=None, visible=False)

    def print_line(self, line: str) -> None:
        self.progress.console.print(Text(line), soft_wrap=True)

    def show_progress(self, done: int, size: int | None) -> None:
        if self._task is not None:
            self.progress.start()
            self.progress.update(self._task, completed=done, total=size, visible=True)

    def pause(self) -> None:
        self.progress.stop()

    def end(self, item: w.WeightsItem, outcome: str, *, failed: bool) -> None:
        if self._task is not None:
            self.progress.remove_task(self._task)
        line = f"error: {outcome}" if failed else f"{item.name}: {outcome}"
        self.progress.console.print(Text(line, style="red" if failed else ""), soft_wrap=True)


@contextmanager
def _open_display() -> Iterator[_Display]:
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


def _resolve_mirror(mirror: str | None) -> Path | str | None:
    """The mirror as a folder, or as an address.

    Raises:
        UsageError: no such folder.
    """
    if mirror is None or mirror.startswith(("http://", "https://")):
        return mirror
    if not Path(mirror).is_dir():
        raise UsageError(f"--from: {mirror} must be a folder or http(s) address, but there is no such folder")
    return Path(mirror).resolve()


def _row(item: w.WeightsItem, root: Path) -> tuple[str, ...]:
    entry = item.entry
    size = f"{entry.size_mb:g} MB" if entry.size_mb else "?"
    source = f"package {entry.package}" if entry.package else entry.url or f"by hand: {entry.page or '?'}"
    licence = entry.licence + (" (terms)" if entry.terms else "")
    sha256 = w.sha256_source(item, root)
    return item.tool, ", ".join(item.variants), entry.file, size, sha256, licence, w.presence(item, root), source


def _print_table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print a table on a terminal; elsewhere a line for each row, with tabs, which other programs can read."""
    console = Console()
    if not console.is_terminal:
        for row in (head, *rows):
            click.echo("\t".join(row))
        return
    table = Table(*head, box=None)
    for row in rows:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    console.print(table)
