"""Images of others in this machine's engine: which one a name means, and whether it is still the one that was added."""

import re

from docker import DockerClient
from docker.errors import APIError, ImageNotFound
from docker.models.images import Image
from pydantic import ValidationError

from contract.errors import UsageError
from contract.manifest import Manifest
from contract.yamlnodes import show_text
from coordinator.runners.docker import DockerRunner
from coordinator.tools.added import AddedTool, split_name
from coordinator.tools.finding import Tool
from coordinator.tools.timelimit import within_seconds

NAME = re.compile("[!-~]{1,200}")
PODMANS_OWN = "localhost/"
"""How Podman begins the name of an image that was named without a registry."""
PARSE_S = 10
"""A manifest whose patterns take longer to match its defaults is refused."""


def find_image(client: DockerClient, name: str) -> Image | None:
    """Find an image by tag, by digest or by id; None where none here has that name.

    `lab/seg@sha256:…` is a digest that a registry gave, else the id of an image that is called lab/seg.

    Raises:
        UsageError: no image can have that name.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"image {show_text(name)!r}: must be a name as Docker has it: 1 to 200 letters, digits and signs"
        )
    repository, digest = split_name(name)
    if (image := _ask(client, name)) is not None or not (repository and digest):
        return image
    image = _ask(client, digest)
    repositories = {split_name(tag)[0].removeprefix(PODMANS_OWN) for tag in image.tags} if image else set()
    return image if repository in repositories else None


def parse_described(output: str) -> Manifest:
    """Parse what `describe` printed, within a few seconds.

    Raises:
        ValueError: it is no sound manifest; the message names the first problems.
    """
    return within_seconds(PARSE_S, _parse, output)


def _parse(output: str) -> Manifest:
    try:
        return Manifest.model_validate_json(output)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc'])) or 'output'}: {e['msg']}" for e in error.errors(include_url=False)]
        raise ValueError("; ".join(problems[:3])) from None


def refuse_changed(runner: DockerRunner, tool: Tool, added: AddedTool) -> None:
    """Refuse an added tool whose image is another one now, or describes itself in another way.

    Raises:
        UsageError: says what was added, what is here, and how to add that.
    """
    image = find_image(runner.client, added.image)
    if image is None:
        raise UsageError(
            f"image {added.image}: must be here, as it was when it was added, but {_describe_others(runner, added)}; "
            "`docker pull` or `docker load` it, or check and add another one with `coordinator tool add`"
        )
    if image.id != added.id:
        raise UsageError(
            f"image {added.image}: must be {added.id}, as it was when it was added, but {_describe_difference(added)} "
            f"{image.id}; `coordinator tool add {added.image}` checks and adds it again"
        )
    try:
        described = parse_described(runner.describe(tool))
    except ValueError as error:
        raise UsageError(f"image {added.image}: `describe` must print a sound manifest, but: {error}") from None
    if described != added.manifest:
        keys = [key for key in Manifest.model_fields if getattr(described, key) != getattr(added.manifest, key)]
        raise UsageError(
            f"image {added.image}: `describe` must print the manifest that was kept when it was added, but "
            f"{', '.join(keys)} {'differs' if len(keys) == 1 else 'differ'}; `coordinator tool add {added.image}` "
            "checks and adds it again"
        )


def _describe_difference(added: AddedTool) -> str:
    """Why an image has another id now; a registry's digest stays, but may list an image for each architecture."""
    _, digest = split_name(added.image)
    if digest and digest != added.id:
        return "this machine's architecture, or image store, is another one, and it is"
    return "it changed, and now is"


def _describe_others(runner: DockerRunner, added: AddedTool) -> str:
    """Which images have the repository's name now, where none has that digest."""
    repository, _ = split_name(added.image)
    others = [f"{tag} is {image.id}" for image in runner.client.images.list(repository or None) for tag in image.tags]
    return f"it changed: {', '.join(others)} now" if repository and others else "no image here is called so"


def _ask(client: DockerClient, name: str) -> Image | None:
    try:
        return client.images.get(name)
    except ImageNotFound:
        return None
    except APIError as error:
        raise UsageError(f"image {name!r}: must be a name as Docker has it, but: {error.explanation}") from None
