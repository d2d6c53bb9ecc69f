"""`coordinator tool check`: finds the tool or image that its argument names, and shows the results."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from contract.errors import UsageError
from contract.manifest import Manifest, load_manifest
from contract.yamlfiles import did_you_mean
from coordinator.conformance.check import CheckRequest, check_target, refuse_unknown_rules
from coordinator.conformance.ruleresult import RuleResult
from coordinator.conformance.targets import UID, ApptainerTarget, ImageTarget, ProcessTarget, Target
from coordinator.conformance.toolcheck import FOLDER, check_folder, is_built
from coordinator.runners.apptainer import ApptainerRunner
from coordinator.runners.docker import DockerRunner
from coordinator.runners.images import find_image
from coordinator.runners.process import ProcessRunner
from coordinator.tools.finding import Tool, find_tools, tools_folder

OTHERS_READ = 0o005
SIGNS = {True: "[green]yes[/]", False: "[red]no[/]", None: "n/a"}
RuleResults = list[RuleResult]


def run_check(what: str, runtime: str, request: CheckRequest, *, as_json: bool) -> bool:
    """Check a tool, a folder or an image, and print the results.

    Args:
        what: a tool's name, a folder, or an image.
        runtime: docker, apptainer, process, or all for those that it is built for.
        request: what to check.
        as_json: print JSON instead of tables.

    Returns:
        Whether every rule holds or does not apply.

    Raises:
        UsageError: nothing has that name, it is not built for the runtime, or a rule does not exist.
    """
    refuse_unknown_rules(request.only, [FOLDER])
    progress = Console(stderr=True, highlight=False)
    results_by_title: dict[str, RuleResults] = {}
    for title, results in _check_parts(what, runtime, request, progress):
        results_by_title[title] = results
        if not as_json:
            Console().print(make_table(title, results))
    if as_json:
        rows = {
            title: [{**asdict(r), "holds": r.holds} for r in results] for title, results in results_by_title.items()
        }
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False))
    everything = [result for results in results_by_title.values() for result in results]
    broken = sum(result.holds is False for result in everything)
    progress.print(f"{what}: {len(everything) - broken} of {len(everything)} rules hold or say nothing", soft_wrap=True)
    return not broken


def _check_parts(
    what: str, runtime: str, request: CheckRequest, progress: Console
) -> Iterator[tuple[str, RuleResults]]:
    """Check the folder, then each runtime and variant; yield the title and results of each."""
    folder = _find_tool_folder(what)
    if folder is None:
        yield from _check_in_runtime(_find_image(what), None, request, progress)
        return
    if request.wants(FOLDER):
        yield str(folder), check_folder(folder)
    if request.only and set(request.only) == {FOLDER}:
        return
    try:
        tool = Tool(folder, load_manifest(folder))
    except UsageError:
        return  # the results of the folder say so
    targets = list(_choose_targets(tool, runtime))
    if not targets:
        build = f"run `coordinator tool build {tool.name}`, or with `--runtime apptainer` or `--runtime process`"
        yield f"{tool.name}, run", [RuleResult("built", "is built, so that it can be run", f"is not; {build}")]
    for target in targets:
        yield from _check_in_runtime(target, tool, request, progress)


def _check_in_runtime(
    target: Target, tool: Tool | None, request: CheckRequest, progress: Console
) -> Iterator[tuple[str, RuleResults]]:
    for variant, results in check_variants(target, tool.manifest if tool else None, request, progress):
        yield make_title(target, variant, results), results


def check_variants(
    target: Target, expected: Manifest | None, request: CheckRequest, progress: Console
) -> Iterator[tuple[str, RuleResults]]:
    """Check a target as `check_target` does, and show its progress.

    Raises:
        UsageError: the variant does not exist, or weights can't be read in a container.
    """
    if target.locks and request.weights and request.weights.stat().st_mode & OTHERS_READ != OTHERS_READ:
        raise UsageError(
            f"{request.weights}: must be readable for user {UID}, as which containers run here, but is not; "
            f"`chmod -R a+rX {request.weights}`"
        )
    yield from check_target(target, expected, request, lambda line: progress.print(line, soft_wrap=True))


def make_title(target: Target, variant: str, results: RuleResults) -> str:
    """The title of a table of results."""
    seconds = sum(result.seconds for result in results)
    return f"{variant or 'no variant'} ({target.runtime}), {seconds:.0f} s"


def _find_tool_folder(what: str) -> Path | None:
    """Find a tool's folder, by name or by path; None where `what` must be an image."""
    by_name = tools_folder() / what
    if "/" not in what and by_name.is_dir():
        return by_name
    return Path(what).resolve() if Path(what).is_dir() else None


def _find_image(name: str) -> Target:
    runner, problem = DockerRunner(), f"{name}: must be a tool, a folder or an image that is here, but is none"
    hint = did_you_mean(name, find_tools())
    try:
        image = find_image(runner.client, name)
    except UsageError as error:
        end = "" if hint.endswith("?") else "."
        raise UsageError(f"{problem}; {hint}{end} Images were not looked for: {error}") from None
    if image is None:
        raise UsageError(f"{problem}; {hint}")
    return ImageTarget(str(image.id), runner.client)


def _choose_targets(tool: Tool, runtime: str) -> Iterator[Target]:
    """Yield a target for the requested runtime; for `all`, one for each runtime that the tool is built for."""
    docker, apptainer, process = DockerRunner(), ApptainerRunner(), ProcessRunner()
    if runtime == "docker" or (runtime == "all" and is_built(docker, tool)):
        yield ImageTarget(docker.code_id(tool), docker.client, is_foreign=False)
    if runtime == "apptainer" or (runtime == "all" and is_built(apptainer, tool)):
        apptainer.code_id(tool)
        yield ApptainerTarget(tool)
    if runtime == "process" or (runtime == "all" and is_built(process, tool)):
        process.code_id(tool)
        yield ProcessTarget(tool)


def make_table(title: str, results: RuleResults) -> Table:
    """Results as a table for the terminal."""
    table = Table(
        "", "rule", "what must hold", "what is wrong, or why it says nothing",
        title=title, title_justify="left", box=box.SIMPLE_HEAD,
    )  # fmt: skip
    if all(result.rule == FOLDER and result.holds for result in results):
        results = [RuleResult(FOLDER, f"files, manifest and Dockerfile are as they must be ({len(results)} rules)")]
    for result in results:
        reason = escape(result.problem or result.skipped)
        table.add_row(SIGNS[result.holds], result.rule, escape(result.what), reason)
    return table
