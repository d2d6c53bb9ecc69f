"""`coordinator tool`: which tools there are, building them, checking one."""

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from contract.errors import UsageError
from coordinator import compose
from coordinator.runners.docker import DockerRunner
from coordinator.runners.process import ProcessRunner
from coordinator.toolcheck import check_tool, is_built
from coordinator.tools import Tool, find_tool, find_tools, tools_folder


@click.group()
def tool() -> None:
    """List, build and check tools (label generators and the trainer)."""


@tool.command("list")
def list_tools() -> None:
    """Show every tool and for which runtimes it is built."""
    table = Table("tool", "kind", "variants", "needs", "GPU", "licence", "docker", "process", box=None)
    docker, process = DockerRunner(), ProcessRunner()
    engine = _engine_answers(docker)
    for each in find_tools().values():
        manifest = each.manifest
        licences = {manifest.licence, *(w.licence for v in manifest.variants.values() for w in v.weights)}
        table.add_row(
            each.name, manifest.kind, ", ".join(manifest.variants), ", ".join(manifest.needs) or "-",
            manifest.resources.gpu, ", ".join(sorted(licences)),
            _yes_or_no(docker, each) if engine else "no engine", _yes_or_no(process, each),
        )  # fmt: skip
    Console().print(table)


@tool.command()
@click.argument("names", nargs=-1, metavar="[NAME]…")
@click.option("--runtime", type=click.Choice(["docker", "process", "all"]), default="docker", show_default=True)
@click.option("--base", metavar="IMAGE", envvar="BASE", help="Base image; default: the one pinned in the Dockerfile.")
def build(names: tuple[str, ...], runtime: str, base: str | None) -> None:
    """Make the images or virtual environments of the named tools, or of all; what is up to date is left alone."""
    tools = [find_tool(name) for name in names] or list(find_tools().values())
    runners: dict[str, DockerRunner | ProcessRunner] = {"docker": DockerRunner(base), "process": ProcessRunner()}
    for name, runner in runners.items():
        if runtime not in (name, "all"):
            continue
        for each in tools:
            runner.build(each)
            click.echo(f"{each.name} ({name}): built, {runner.identity(each)}")


@tool.command("compose")
def write_compose() -> None:
    """Write compose.yaml and compose.gpu.yaml beside the folder of tools."""
    for file in compose.write(find_tools().values(), tools_folder().parent):
        click.echo(str(file))


@tool.command()
@click.argument("what", metavar="FOLDER|NAME")
def check(what: str) -> None:
    """Check a tool's folder: files, manifest, Dockerfile, `describe`."""
    folder = _folder(what)
    findings = check_tool(folder)
    table = Table("", "what must hold", "what is wrong", title=str(folder))
    for finding in findings:
        table.add_row("[red]no[/]" if finding.problem else "[green]yes[/]", finding.what, finding.problem)
    Console().print(table)
    wrong = [finding for finding in findings if finding.problem]
    if wrong:
        raise UsageError(f"{folder}: all of {len(findings)} rules must hold, but {len(wrong)} do not; see the table")


def _folder(what: str) -> Path:
    """A tool's folder by name, or by path where that is a folder."""
    by_name = tools_folder() / what
    if "/" not in what and by_name.is_dir():
        return by_name
    path = Path(what)
    return path.resolve() if path.is_dir() else find_tool(what).folder


def _engine_answers(runner: DockerRunner) -> bool:
    try:
        return bool(runner.client.ping())
    except UsageError:
        return False


def _yes_or_no(runner: DockerRunner | ProcessRunner, tool: Tool) -> str:
    return "yes" if is_built(runner, tool) else "no"
