"""`coordinator tool`: which tools there are, building them, starting one, checking one."""

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from contract.errors import ExitCode, UsageError
from coordinator.conformance.toolcheck import is_built
from coordinator.runners import compose
from coordinator.runners.docker import DockerRunner
from coordinator.runners.process import ProcessRunner
from coordinator.tools.finding import Tool, find_tool, find_tools, tools_folder


@click.group()
def tool() -> None:
    """List, make, build and check tools (label generators and the trainer)."""


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
            click.echo(f"{each.name} ({name}): built, {runner.code_id(each)}")


@tool.command("compose")
def write_compose() -> None:
    """Write compose.yaml and compose.gpu.yaml beside the folder of tools."""
    for file in compose.write(find_tools().values(), tools_folder().parent):
        click.echo(str(file))


@tool.command("new")
@click.argument("name")
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Folder of tool folders; default: `containers/` of the checkout."
)
def new_tool(name: str, folder: Path | None) -> None:
    """Make the folder of a new tool, which passes `coordinator tool check` as it is."""
    from coordinator.tools.new import write_tool

    made = write_tool(name, folder or tools_folder())
    click.echo(
        f"{made}: a tool that calls bright voxels bone; put yours in tool.py and manifest.yaml, then\n"
        f"  coordinator tool build --runtime process {name}\n"
        f"  coordinator tool check {name}"
    )


@tool.command()
@click.argument("what", metavar="IMAGE|FOLDER|NAME")
@click.option(
    "--runtime", type=click.Choice(["docker", "process", "all"]), default="all", show_default=True,
    help="Where it is run; all: for whatever it is built.",
)  # fmt: skip
@click.option("--variant", metavar="NAME|all", help="Which one to check; default: the manifest's default variant.")
@click.option(
    "--weights", type=click.Path(path_type=Path), default=Path("weights"), show_default=True, help="Folder of weights."
)
@click.option("--only", multiple=True, metavar="RULE", help="Try only this rule; may be given several times.")
@click.option("--json", "as_json", is_flag=True, help="Print findings as JSON.")
@click.pass_context
def check(  # noqa: PLR0913 - one argument an option
    context: click.Context,
    what: str,
    runtime: str,
    variant: str | None,
    weights: Path,
    only: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Run an image, or a folder's tool, through the contract, and print what holds.

    \b
    Exit code: 0 all rules hold or say nothing about it, 2 it can't be checked, 3 some rules don't hold.
    """
    from coordinator.conformance.check import CheckRequest
    from coordinator.conformance.command import run_check

    request = CheckRequest(variant, weights.resolve() if weights.is_dir() else None, only)
    holds = run_check(what, runtime, request, as_json=as_json)
    context.exit(ExitCode.DONE if holds else ExitCode.CASES_FAILED)


def _engine_answers(runner: DockerRunner) -> bool:
    try:
        return bool(runner.client.ping())
    except UsageError:
        return False


def _yes_or_no(runner: DockerRunner | ProcessRunner, tool: Tool) -> str:
    return "yes" if is_built(runner, tool) else "no"
