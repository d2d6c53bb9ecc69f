"""`coordinator tool check`: what is meant by its argument, and how the findings are shown."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click
from docker.errors import ImageNotFound
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from contract.errors import UsageError
from contract.manifest import load_manifest
from contract.yamlfiles import did_you_mean
from coordinator.conformance.check import Request, check_rules_exist, check_target
from coordinator.conformance.findings import Finding
from coordinator.conformance.targets import UID, ImageTarget, ProcessTarget, Target
from coordinator.conformance.toolcheck import FOLDER, check_folder, is_built
from coordinator.runners.docker import DockerRunner
from coordinator.runners.process import ProcessRunner
from coordinator.tools.finding import Tool, find_tools, tools_folder

OTHERS_READ = 0o005
SIGNS = {True: "[green]yes[/]", False: "[red]no[/]", None: "n/a"}
Findings = list[Finding]


def run_check(what: str, runtime: str, request: Request, *, as_json: bool) -> bool:
    """Check what a user names and print what was found.

    Args:
        what: a tool's name, a folder, or an image.
        runtime: docker, process, or all for whatever it is built.
        request: what is to be tried.
        as_json: print JSON instead of tables.

    Returns:
        Whether every rule holds or says nothing.

    Raises:
        UsageError: there is nothing of that name, it is not built for the runtime, or there is no such rule.
    """
    check_rules_exist(request.only, [FOLDER])
    progress = Console(stderr=True, highlight=False)
    found: dict[str, Findings] = {}
    for title, findings in _parts(what, runtime, request, progress):
        found[title] = findings
        if not as_json:
            Console().print(_table(title, findings))
    if as_json:
        rows = {title: [{**asdict(f), "holds": f.holds} for f in findings] for title, findings in found.items()}
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False))
    everything = [finding for findings in found.values() for finding in findings]
    wrong = sum(finding.holds is False for finding in everything)
    progress.print(f"{what}: {len(everything) - wrong} of {len(everything)} rules hold or say nothing", soft_wrap=True)
    return not wrong


def _parts(what: str, runtime: str, request: Request, progress: Console) -> Iterator[tuple[str, Findings]]:
    """What is looked at, one after the other, with its title."""
    folder = _folder(what)
    if folder is None:
        yield from _tried(_image(what), None, request, progress)
        return
    if request.wants(FOLDER):
        yield str(folder), check_folder(folder)
    if request.only and set(request.only) == {FOLDER}:
        return
    try:
        tool = Tool(folder, load_manifest(folder))
    except UsageError:
        return  # among the findings
    targets = list(_targets(tool, runtime))
    if not targets:
        build = f"run `coordinator tool build {tool.name}`, or with `--runtime process`"
        yield f"{tool.name}, run", [Finding("built", "is built, so that it can be run", f"is not; {build}")]
    for target in targets:
        yield from _tried(target, tool, request, progress)


def _tried(target: Target, tool: Tool | None, request: Request, progress: Console) -> Iterator[tuple[str, Findings]]:
    expected = tool.manifest if tool else None
    if target.locks and request.weights and request.weights.stat().st_mode & OTHERS_READ != OTHERS_READ:
        raise UsageError(
            f"{request.weights}: must be readable for user {UID}, as whom containers run here, but is not; "
            f"`chmod -R a+rX {request.weights}`"
        )
    for variant, findings in check_target(target, expected, request, lambda line: progress.print(line, soft_wrap=True)):
        seconds = sum(finding.seconds for finding in findings)
        yield f"{variant or 'no variant'} ({target.runtime}), {seconds:.0f} s", findings


def _folder(what: str) -> Path | None:
    """A tool's folder, by name or by path; None where it must be an image."""
    by_name = tools_folder() / what
    if "/" not in what and by_name.is_dir():
        return by_name
    return Path(what).resolve() if Path(what).is_dir() else None


def _image(name: str) -> Target:
    runner, none = DockerRunner(), f"{name}: must be a tool, a folder or an image that is here, but is none"
    hint = did_you_mean(name, find_tools())
    try:
        return ImageTarget(str(runner.client.images.get(name).id), runner.client)
    except ImageNotFound:
        raise UsageError(f"{none}; {hint}") from None
    except UsageError as error:
        raise UsageError(f"{none}; {hint} Images were not looked for: {error}") from None


def _targets(tool: Tool, runtime: str) -> Iterator[Target]:
    """The runtimes that are asked for; of all, those that the tool is built for."""
    docker, process = DockerRunner(), ProcessRunner()
    if runtime == "docker" or (runtime == "all" and is_built(docker, tool)):
        yield ImageTarget(docker.code_id(tool), docker.client)
    if runtime == "process" or (runtime == "all" and is_built(process, tool)):
        process.code_id(tool)
        yield ProcessTarget(tool)


def _table(title: str, findings: Findings) -> Table:
    table = Table(
        "", "rule", "what must hold", "what is wrong, or why it says nothing",
        title=title, title_justify="left", box=box.SIMPLE_HEAD,
    )  # fmt: skip
    if all(finding.rule == FOLDER and finding.holds for finding in findings):
        findings = [Finding(FOLDER, f"files, manifest and Dockerfile are as they must be ({len(findings)} rules)")]
    for finding in findings:
        words = escape(finding.problem or finding.skipped)
        table.add_row(SIGNS[finding.holds], finding.rule, escape(finding.what), words)
    return table
