"""Runs tools as containers of a Docker engine on this machine, or of Podman through its Docker-compatible socket.

A container has no network, no capabilities and a read-only root. It runs as the caller, so that results belong to the
caller. Its memory is not limited, since a limit would kill cases that need a little more; the planner reads what a tool
needs from its manifest. The log begins with the `docker run` or `podman run` line that does the same.
"""

import gc
import os
import subprocess
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.models.images import Image

from contract.errors import UsageError
from coordinator.runners import Invocation
from coordinator.runners.describing import DESCRIBE_LOG, read_description, remove_container
from coordinator.runners.engines import Engine, read_engine
from coordinator.runners.sandbox import Sandbox, make_sandbox
from coordinator.runners.stopping import GRACE_S, raise_on_sigterm
from coordinator.runners.toolsources import dockerfile, git_revision, image_digest
from coordinator.tools.added import AddedTool
from coordinator.tools.finding import Tool

SOURCES, BASE = "label-quality.sources", "label-quality.base"
"""Labels of an image: what it was built from."""
FINGERPRINT, OUT, LOG_START = "label-quality.fingerprint", "label-quality.out", "label-quality.log-start"
"""Labels of a container: fingerprint of its step, folder that it writes to, and where in the log its output begins."""


def image_name(tool: Tool) -> str:
    """What a tool's image is called."""
    return f"label-quality/{tool.name}:{tool.manifest.version}"


def build_arguments(tool: Tool) -> dict[str, str]:
    """Build arguments of the Dockerfile, without BASE and REVISION; `build` and compose.yaml use the same."""
    return {"TOOL": tool.folder.name, "VERSION": tool.manifest.version, "LICENCES": tool.manifest.licence}


@dataclass(frozen=True)
class DockerRunner:
    """Runs each tool in its own image.

    Attributes:
        base: base image to build on; None for the Dockerfile's pinned one.
    """

    base: str | None = None

    @property
    def runtime(self) -> str:
        """The runner's name in study files and plans."""
        return "docker"

    @property
    def uses_this_machine(self) -> bool:
        """Tools run here."""
        return True

    @cached_property
    def client(self) -> docker.DockerClient:
        """The engine's client.

        Raises:
            UsageError: no engine answers.
        """
        with warnings.catch_warnings():
            # The SDK leaves a socket open when nothing answers; it is closed here, without the warning.
            warnings.simplefilter("ignore", ResourceWarning)
            try:
                return docker.from_env()
            except DockerException as error:
                reason = str(error)
            gc.collect()
        raise UsageError(
            f"a Docker engine must answer at {os.environ.get('DOCKER_HOST', 'its default socket')}, but: {reason}; "
            "start it (`systemctl start docker`), become a member of the group `docker`, or use the runtime "
            "`process`, which needs no engine"
        )

    @cached_property
    def engine(self) -> Engine:
        """What the engine is.

        Raises:
            UsageError: no engine answers.
        """
        return read_engine(self.client)

    def code_id(self, tool: Tool) -> str:
        """Id of the tool's image.

        Raises:
            UsageError: there is no image, or it was built from other sources than the tool's folder now holds.
        """
        if tool.added is not None:
            return self._added_id(tool.added)
        image = self._image(tool)
        if image is None:
            raise UsageError(f"{image_name(tool)}: not built: run `coordinator tool build {tool.name}`")
        built_from = image.labels.get(SOURCES)
        if built_from != image_digest(tool):
            origin = "is from other sources" if built_from else f"has no label {SOURCES}, which says from what"
            raise UsageError(
                f"{image_name(tool)}: image must be built from {tool.folder} as it is now, but {origin}; "
                f"run `coordinator tool build {tool.name}`"
            )
        return str(image.id)

    def build(self, tool: Tool) -> None:
        """Build the image, unless there is one of the same sources on the same base.

        Raises:
            UsageError: no engine answers, or the image does not build.
        """
        sources, base = image_digest(tool), self.base or "default"
        image = self._image(tool)
        if image is not None and (image.labels.get(SOURCES), image.labels.get(BASE)) == (sources, base):
            return
        values = build_arguments(tool) | {"REVISION": git_revision(tool)} | ({"BASE": self.base} if self.base else {})
        command = [*self.engine.command, "build", "--file", str(dockerfile(tool)), "--tag", image_name(tool)]
        command += [f"--label={SOURCES}={sources}", f"--label={BASE}={base}"]
        command += [f"--build-arg={name}={value}" for name, value in values.items()]
        command += [str(tool.folder.parent)]
        # The SDK speaks to the engine's old builder only, which has no cache mounts.
        try:
            subprocess.run(command, env=os.environ | {"DOCKER_BUILDKIT": "1"}, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise UsageError(f"{tool.folder}: image must build, but: {error}; the reason is printed above") from None

    def describe(self, tool: Tool) -> str:
        """Return the output of `<tool> describe`, run in a container without mounts.

        Raises:
            UsageError: the image is missing or out of date, or `describe` fails, prints too much or takes too long.
        """
        settings = Sandbox(self.code_id(tool), self.engine).container_settings(("describe",))
        try:
            return read_description(self.client.containers.create(**settings | {"log_config": DESCRIBE_LOG}))
        except UsageError as error:
            raise UsageError(f"{tool.name}: {error}") from None

    def run(self, invocation: Invocation) -> int:
        """Run a tool to its end, or take over a running container of the same step; return its exit code.

        Raises:
            UsageError: the image is missing or out of date, the engine has no GPUs, or the name is another run's.
        """
        with raise_on_sigterm():
            container = self._find_running(invocation) or self._start(invocation)
            try:
                _follow(container, invocation.log)
                return _finish(container, invocation.log)
            except BaseException:
                container.stop(timeout=GRACE_S)
                _follow(container, invocation.log)
                _finish(container, invocation.log)
                raise

    def _added_id(self, added: AddedTool) -> str:
        try:
            return str(self.client.images.get(added.id).id)
        except ImageNotFound:
            raise UsageError(
                f"image {added.image}: must be here, as {added.id}, but is not; `docker pull` or `docker load` it"
            ) from None

    def _image(self, tool: Tool) -> Image | None:
        try:
            return self.client.images.get(image_name(tool))
        except ImageNotFound:
            return None

    def _find_running(self, invocation: Invocation) -> Container | None:
        """Find the running container that a dead coordinator left for this step; remove any other of this name."""
        try:
            container = self.client.containers.get(invocation.name)
        except NotFound:
            return None
        running, labels = container.status == "running", container.labels
        if running and labels.get(OUT) != str(invocation.out.resolve()):
            raise UsageError(
                f"{invocation.name}: container of this name must be of this run, but writes to {labels.get(OUT)}; "
                f"wait for it, give this study another name, or `docker stop {invocation.name}`"
            )
        if running and labels.get(FINGERPRINT) == invocation.fingerprint and invocation.log.exists():
            return container
        if running:
            container.stop(timeout=GRACE_S)
        remove_container(container)
        return None

    def _start(self, invocation: Invocation) -> Container:
        if invocation.gpus and self.engine.is_podman:
            raise UsageError(
                "GPUs must be usable in containers, but Podman's Docker-compatible interface passes none on; run with "
                "--device cpu, or with the runtime `apptainer` or `process`"
            )
        sandbox = make_sandbox(invocation, self.code_id(invocation.tool), self.engine)
        invocation.out.mkdir(parents=True, exist_ok=True)
        with invocation.log.open("a", encoding="utf-8") as log:
            log.write(f"{sandbox.command_line(invocation.arguments)}\n")
        labels = {
            FINGERPRINT: invocation.fingerprint,
            OUT: str(invocation.out.resolve()),
            LOG_START: str(invocation.log.stat().st_size),
        }
        container = sandbox.create_container(self.client, invocation.arguments, labels)
        try:
            container.start()
        except BaseException as error:
            remove_container(container)
            if isinstance(error, APIError) and "could not select device driver" in str(error):
                raise UsageError(
                    "GPUs must be usable in containers, but the engine has no driver for them; install the NVIDIA "
                    "container toolkit, or run with --device cpu or the runtime `process`"
                ) from None
            raise
        return container


def _follow(container: Container, log: Path) -> None:
    """Append a container's output to the log until it ends, skipping what the log already has of it."""
    with log.open("ab", buffering=0) as stream:
        written = stream.tell() - int(container.labels[LOG_START])
        for chunk in container.logs(stream=True, follow=True):
            stream.write(chunk[written:])
            written = max(0, written - len(chunk))


def _finish(container: Container, log: Path) -> int:
    """Remove a container that ended, and return its exit code."""
    code = int(container.wait()["StatusCode"])
    container.reload()
    if container.attrs["State"]["OOMKilled"]:
        with log.open("a", encoding="utf-8") as stream:
            stream.write("killed: this machine's memory is used up\n")
    remove_container(container)
    return code
