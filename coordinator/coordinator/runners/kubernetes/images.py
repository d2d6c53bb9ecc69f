"""Images of tools in a registry, where the nodes of a cluster find them; a pod names them by digest.

<root>/.images/<tool>.json     the image that was pushed, and of which sources it is
"""

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

from docker.errors import DockerException

from contract import atomic, statefiles
from contract.errors import UsageError
from coordinator.runners.docker import DockerRunner, image_name
from coordinator.runners.toolsources import image_digest
from coordinator.tools.finding import Tool


class PushedImage(NamedTuple):
    """An image in a registry.

    Attributes:
        name: registry, repository and digest.
        sources: digest of what it was built from.
    """

    name: str
    sources: str

    @property
    def digest(self) -> str:
        """The registry's digest, which is the image's identity on a cluster."""
        return self.name.partition("@")[2]


def pushed_file(tool: Tool) -> Path:
    """Where is kept which image was pushed: below $COORDINATOR_IMAGES, or `.images` beside the folder of tools."""
    from_user = os.environ.get("COORDINATOR_IMAGES")
    folder = Path(from_user).resolve() if from_user else tool.folder.resolve().parents[1] / ".images"
    return folder / f"{tool.name}.json"


def require_pushed(tool: Tool) -> PushedImage:
    """The image of a tool in a registry, made of its sources as they are now.

    Raises:
        UsageError: none was pushed, or it is of other sources.
    """
    file = pushed_file(tool)
    how = f"run `coordinator tool push REGISTRY {tool.name}` where Docker runs"
    if not file.is_file():
        raise UsageError(f"{file}: must say which image of a registry {tool.name} is, but is not there: {how}")
    pushed = statefiles.require(file, _parse, how)
    if pushed.sources != image_digest(tool):
        raise UsageError(
            f"{file}: must name an image of {tool.folder} as it is now, but {pushed.name} is of other sources; {how}"
        )
    return pushed


def push(tool: Tool, registry: str) -> PushedImage:
    """Push the image of a tool to a registry, and keep its digest.

    Args:
        tool: whose image is built.
        registry: address and path below which images lie, such as registry.lab:5000/label-quality.

    Raises:
        UsageError: the image is not built, or the registry does not take it; its own message was printed.
    """
    runner = DockerRunner()
    image = runner.client.images.get(runner.code_id(tool))
    repository, _, version = image_name(tool).rpartition("/")[2].partition(":")
    target = f"{registry.rstrip('/')}/{repository}"
    try:
        image.tag(target, version)
        subprocess.run(["docker", "push", f"{target}:{version}"], check=True)
        image.reload()
        name = next(digest for digest in image.attrs["RepoDigests"] if digest.startswith(f"{target}@"))
    except (OSError, subprocess.CalledProcessError, DockerException, StopIteration) as error:
        raise UsageError(
            f"{target}:{version}: registry must take the image, but {_describe(error)}; `docker login` "
            "there, or name another one"
        ) from None
    pushed = PushedImage(name, image_digest(tool))
    pushed_file(tool).parent.mkdir(parents=True, exist_ok=True)
    atomic.write_json(pushed_file(tool), pushed._asdict())
    return pushed


def _describe(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return "`docker push` failed, for the reason above"
    if isinstance(error, StopIteration):
        return "the engine does not know its digest there"
    return " ".join(str(error).split())


def _parse(content: bytes) -> PushedImage:
    known = statefiles.parse_mapping(content)
    pushed = PushedImage(str(known["name"]), str(known["sources"]))
    if not pushed.digest.startswith("sha256:"):
        raise ValueError("it names no digest")
    return pushed
