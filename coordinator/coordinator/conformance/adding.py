"""`coordinator tool add`: checks a foreign image, and keeps its manifest, its id and what the check said."""

from datetime import UTC, datetime
from pathlib import Path

import click
from docker.models.images import Image
from rich.console import Console

from contract.datasets import refuse_dataset_folder
from contract.errors import UsageError
from contract.manifest import Manifest
from coordinator.conformance.check import CheckRequest, read_manifest
from coordinator.conformance.command import check_variants, make_table, make_title
from coordinator.conformance.ruleresult import RuleResult
from coordinator.conformance.session import RuleBroken
from coordinator.conformance.targets import ImageTarget, Target
from coordinator.runners.docker import DockerRunner
from coordinator.runners.images import find_image
from coordinator.tools.added import PREFIX, AddedTool, CheckedRule, keep_added
from coordinator.tools.finding import find_tools


def add_image(name: str, folder: Path, request: CheckRequest, *, skip_check: bool) -> bool:
    """Check an image that is here, and keep what is known of it, unless a rule does not hold.

    Args:
        name: of the image.
        folder: of added tools.
        request: which variant to check, and with which weights.
        skip_check: only read what the image says of itself.

    Returns:
        Whether it was added.

    Raises:
        UsageError: there is no such image, it does not describe itself soundly, it can be no generator here, or a
            variant is named although none is checked.
    """
    refuse_dataset_folder(folder)
    if skip_check and request.variant is not None:
        raise UsageError(
            f"--variant {request.variant}: names what to check, but --skip-check checks nothing; leave out one of them"
        )
    client = DockerRunner().client
    image = find_image(client, name.removeprefix(PREFIX))
    if image is None:
        raise UsageError(f"{name}: must be an image that is here, but is none; `docker pull` or `docker load` it first")
    target = ImageTarget(str(image.id), client)
    manifest = _read_manifest(name, target)
    checks = {} if skip_check else _check(target, request)
    if broken := [rule.rule for rules in checks.values() for rule in rules if rule.problem]:
        click.echo(
            f"{name}: was not added, since {', '.join(broken)} {'does' if len(broken) == 1 else 'do'} not hold; mend "
            "the image, or add it with --skip-check, which the report will say",
            err=True,
        )
        return False
    added = _make_added(name.removeprefix(PREFIX), image, manifest, checks, skip_check=skip_check)
    file = keep_added(folder, added)
    click.echo(
        f"{name}: added as {manifest.name} {manifest.version} ({', '.join(manifest.variants)}), kept in {file}\n"
        f'In a study: {{name: {manifest.name}, tool: "{PREFIX}{added.pinned}"}}'
    )
    return True


def _read_manifest(name: str, target: Target) -> Manifest:
    """The manifest of an image that a study can have as a generator."""
    try:
        manifest = read_manifest(target, None)
    except RuleBroken as error:
        raise UsageError(f"{name}: `describe` {error}") from None
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None
    if manifest.kind != "generator":
        raise UsageError(f"{name}: must be a generator, since networks are trained by ours, but is a {manifest.kind}")
    if manifest.name in find_tools():
        raise UsageError(
            f"{name}: must have another name in its manifest than our tools, but it is {manifest.name!r}; results of "
            "the two could not be told apart"
        )
    return manifest


def _check(target: Target, request: CheckRequest) -> dict[str, list[RuleResult]]:
    """Variant -> results, which are also printed."""
    progress, checks = Console(stderr=True, highlight=False), {}
    for variant, results in check_variants(target, None, request, progress):
        Console().print(make_table(make_title(target, variant, results), results))
        checks[variant] = results
    return checks


def _make_added(
    name: str, image: Image, manifest: Manifest, checks: dict[str, list[RuleResult]], *, skip_check: bool
) -> AddedTool:
    return AddedTool(
        image=name,
        id=str(image.id),
        digests=tuple(image.attrs.get("RepoDigests") or ()),
        manifest=manifest,
        checks={variant: tuple(map(_as_checked, results)) for variant, results in checks.items()},
        skip_check=skip_check,
        added=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _as_checked(result: RuleResult) -> CheckedRule:
    return CheckedRule(rule=result.rule, what=result.what, holds=result.holds, reason=result.skipped)
