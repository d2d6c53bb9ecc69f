"""`coordinator tool`: list tools, make a new one, build and check them, add those of others."""

from contextlib import suppress
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from contract.datasets import refuse_dataset_folder
from contract.errors import ExitCode, UsageError
from coordinator.conformance.toolcheck import is_built
from coordinator.runners import Runner, compose
from coordinator.runners.apptainer import ApptainerRunner
from coordinator.runners.choose import RUNTIMES, make_runner
from coordinator.runners.docker import DockerRunner
from coordinator.runners.process import ProcessRunner
from coordinator.runners.sifs import REGISTRY, find_apptainer
from coordinator.tools.added import PREFIX, list_added, remove_added
from coordinator.tools.finding import Tool, find_tool, find_tools, tools_folder

TOOLS = click.option(
    "--tools", "added", type=click.Path(path_type=Path), default=Path("tools"), show_default=True,
    help="Folder of images that were added as tools; `tools` of a study file.",
)  # fmt: skip
WEIGHTS = click.option(
    "--weights", type=click.Path(path_type=Path), default=Path("weights"), show_default=True, help="Folder of weights."
)


@click.group()
def tool() -> None:
    """List, make, build, check and add tools (label generators and the trainer)."""


@tool.command("list")
@TOOLS
def list_tools(added: Path) -> None:
    """List every tool with the runtimes that it is built for, then the foreign images that were added."""
    table = Table("tool", "kind", "variants", "needs", "GPU", "licence", *RUNTIMES, box=None)
    runners = {runtime: make_runner(runtime) for runtime in RUNTIMES}
    missing = _find_missing()
    for found_tool in find_tools().values():
        manifest = found_tool.manifest
        licences = {manifest.licence, *(w.licence for v in manifest.variants.values() for w in v.weights)}
        table.add_row(
            found_tool.name, manifest.kind, ", ".join(manifest.variants), ", ".join(manifest.needs) or "-",
            manifest.resources.gpu, ", ".join(sorted(licences)),
            *(missing.get(runtime) or _is_built(runner, found_tool) for runtime, runner in runners.items()),
        )  # fmt: skip
    Console().print(table)
    for each in list_added(added):
        manifest = each.manifest
        check = f"checked: {', '.join(each.checks)}" if each.checks else "not checked"
        click.echo(f"\n{each.image}: {manifest.name} {manifest.version} ({', '.join(manifest.variants)}); {check}")
        click.echo(f'  in a study, as it was on {each.added[:10]}:  tool: "{PREFIX}{each.pinned}"')


@tool.command()
@click.argument("names", nargs=-1, metavar="[NAME]…")
@click.option(
    "--runtime", type=click.Choice([*RUNTIMES, "all"]), default="docker", show_default=True,
    help="docker: images; apptainer: SIF files; process: virtual environments.",
)  # fmt: skip
@click.option("--base", metavar="IMAGE", envvar="BASE", help="Base image; default: the one pinned in the Dockerfile.")
@click.option(
    "--images", metavar="WHERE",
    help="Of what SIF files are made. Default: the images of this machine's Docker engine, built first. Or a folder of "
    "archives (docker save -o <tool>.tar …); docker://registry/name@sha256:… for one tool; docker://registry/ for all "
    "tools, under their usual names.",
)  # fmt: skip
def build(names: tuple[str, ...], runtime: str, base: str | None, images: str | None) -> None:
    """Build the named tools, or all tools; those that are up to date are skipped."""
    tools = [find_tool(name) for name in names] or list(find_tools().values())
    if images is not None and runtime != "apptainer":
        raise UsageError(f"--images: is of the runtime apptainer alone, but --runtime is {runtime}; leave it out")
    if images and images.startswith(REGISTRY) and not images.endswith("/") and len(tools) != 1:
        raise UsageError(f"--images {images}: is one image, but {len(tools)} tools were to be built; name the tool")
    runners: list[Runner] = [DockerRunner(base), ApptainerRunner(images), ProcessRunner()]
    missing = _find_missing() if runtime == "all" else {}
    for runner in runners:
        if runtime not in (runner.runtime, "all"):
            continue
        if runner.runtime == "apptainer" and missing.get("apptainer"):
            click.echo("apptainer: no SIF files are built, since the program is not on the path", err=True)
            continue
        for named_tool in tools:
            needs_image = runner.runtime == "apptainer" and images is None and not is_built(runner, named_tool)
            if needs_image and not is_built(runners[0], named_tool):
                runners[0].build(named_tool)
            runner.build(named_tool)
            click.echo(f"{named_tool.name} ({runner.runtime}): built, {runner.code_id(named_tool)}")


@tool.command()
@click.argument("registry")
@click.argument("names", nargs=-1, metavar="[NAME]…")
def push(registry: str, names: tuple[str, ...]) -> None:
    """Push the images of the named tools, or of all, to REGISTRY, where Kubernetes finds them.

    REGISTRY is an address and a path, such as registry.lab:5000/label-quality; `docker login` there first. The digest
    of each is kept in `.images/`, beside the folder of tools: pods name images by it.
    """
    from coordinator.runners.kubernetes.images import push as push_image

    for named_tool in [find_tool(name) for name in names] or find_tools().values():
        click.echo(f"{named_tool.name}: {push_image(named_tool, registry).name}")


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
    """Make the folder of a new tool NAME, which passes `coordinator tool check` as it is."""
    from coordinator.tools.new import write_tool

    new_folder = write_tool(name, folder or tools_folder())
    click.echo(
        f"{new_folder}: a tool that labels bright voxels as bone; write yours in tool.py and manifest.yaml, then\n"
        f"  coordinator tool build --runtime process {name}\n"
        f"  coordinator tool check {name}"
    )


@tool.command()
@click.argument("image")
@click.option("--variant", metavar="NAME|all", help="Variant to check; default: the manifest's default variant.")
@WEIGHTS
@TOOLS
@click.option("--skip-check", is_flag=True, help="Only read its manifest; reports will say that it was not checked.")
@click.pass_context
def add(
    context: click.Context, image: str, variant: str | None, weights: Path, added: Path, *, skip_check: bool
) -> None:
    """Check IMAGE, a foreign one, and keep what is known of it, so that studies can use it as a generator.

    IMAGE is the tag, digest or id of an image that is here; `docker pull` it first. It runs as our own tools do:
    without network, on a read-only root, as a user that it does not know. Where every rule of the tool contract holds,
    its manifest, its digest and the results are kept in a file below --tools; then a study file can name it, as
    `tool: "image:IMAGE"`.

    When the image has changed, studies refuse it until it is added again.

    \b
    Exit code: 0 it was added, 2 it can't be checked, 3 some rules don't hold, so that it was not added.
    """
    from coordinator.conformance.adding import add_image
    from coordinator.conformance.check import CheckRequest

    request = CheckRequest(variant, weights.resolve() if weights.is_dir() else None)
    is_added = add_image(image, added, request, skip_check=skip_check)
    context.exit(ExitCode.DONE if is_added else ExitCode.CASES_FAILED)


@tool.command()
@click.argument("image")
@TOOLS
def remove(image: str, added: Path) -> None:
    """Forget IMAGE, which was added under this name; the image itself stays."""
    refuse_dataset_folder(added)
    click.echo(f"{remove_added(added, image.removeprefix(PREFIX))}: removed")


@tool.command()
@click.argument("what", metavar="IMAGE|FOLDER|NAME")
@click.option(
    "--runtime", type=click.Choice([*RUNTIMES, "all"]), default="all", show_default=True,
    help="How it is started; all: every runtime that it is built for.",
)  # fmt: skip
@click.option("--variant", metavar="NAME|all", help="Variant to check; default: the manifest's default variant.")
@WEIGHTS
@click.option("--only", multiple=True, metavar="RULE", help="Check only this rule; may be given several times.")
@click.option("--json", "as_json", is_flag=True, help="Print findings as JSON.")
@click.pass_context
def check(  # noqa: PLR0913 - one argument for each option
    context: click.Context,
    what: str,
    runtime: str,
    variant: str | None,
    weights: Path,
    only: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Check a tool against the contract, and print which rules hold.

    \b
    Exit code: 0 all rules that apply hold, 2 the tool can't be checked, 3 some rules don't hold.
    """
    from coordinator.conformance.check import CheckRequest
    from coordinator.conformance.command import run_check

    request = CheckRequest(variant, weights.resolve() if weights.is_dir() else None, only)
    holds = run_check(what, runtime, request, as_json=as_json)
    context.exit(ExitCode.DONE if holds else ExitCode.CASES_FAILED)


def _find_missing() -> dict[str, str]:
    """Runtime -> what this machine lacks for it."""
    missing = {}
    with suppress(UsageError):
        find_apptainer()
        missing["apptainer"] = ""
    with suppress(UsageError):
        DockerRunner().client.ping()
        missing["docker"] = ""
    return {"docker": "no engine", "apptainer": "not here"} | missing


def _is_built(runner: Runner, tool: Tool) -> str:
    return "yes" if is_built(runner, tool) else "no"
