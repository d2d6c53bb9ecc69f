"""Runs tools in containers or virtual environments, and shares out the GPUs.

Invocation ──► choose ──┬──► docker     ──► sandbox    a container and its restrictions
                        ├──► apptainer  ──► sifs       a container of a SIF file, and where those come from
                        ├──► process                   the tool's own virtual environment
                        └──► kubernetes/               a Job of a cluster, whose pod is such a container
engines        what answers for Docker: Docker or Podman, and whose files a container writes
images         foreign images: which one a name means, and whether it is the one that was added
describing     what `describe` of an image prints, within bounds
view           what a tool may read, in every runner
outfolder      what a tool may leave in its folder of results
stopping       SIGTERM, and how long a tool may take to end
toolsources    what a tool is built from, and its digests
gpus           which GPUs there are; leases
cluster        what is the same on every kind of cluster
compose        compose.yaml from the manifests
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from coordinator.tools.finding import Tool


class Request(NamedTuple):
    """What the plan counts for a step: a cluster is asked for it, this machine has it or not.

    Attributes:
        cpus: threads that it uses.
        memory_mb: memory that it needs.
        gpus: GPUs that it can use.
    """

    cpus: int = 1
    memory_mb: int = 500
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class Invocation:
    """One run of a tool.

    Attributes:
        name: unique on this machine, and always the same for a step of a study, so that a run that outlived its
            coordinator can be found.
        fingerprint: of the step; a container of this name with another fingerprint belongs to an older plan.
        tool: the tool to run.
        arguments: of its command line, without those that name folders.
        data: folder of dataset folders, read-only.
        dataset: name of the dataset that the tool may read.
        shows_labels: whether it may read the reference labels.
        out: folder to write to.
        inputs: name -> folder, read-only below /in.
        weights: folder of weights, read-only; None where there is none.
        log: file to append its output to.
        gpus: indices of the leased GPUs; empty for none.
        held_files: descriptors of locks that must stay held while the tool runs.
        cases: those that the tool may see; all of the dataset where it is None.
        is_foreign: whether it is a stranger's image, which may see its own folder of weights alone.
        step: id of the step, for people; empty where it is none.
        request: what the plan counts for it.
    """

    name: str
    fingerprint: str
    tool: Tool
    arguments: tuple[str, ...]
    data: Path
    dataset: str
    shows_labels: bool
    out: Path
    log: Path
    inputs: Mapping[str, Path] = field(default_factory=dict)
    weights: Path | None = None
    gpus: tuple[int, ...] = ()
    held_files: tuple[int, ...] = ()
    cases: frozenset[str] | None = None
    is_foreign: bool = False
    step: str = ""
    request: Request = field(default_factory=Request)


class Runner(Protocol):
    """Starts tools."""

    @property
    def runtime(self) -> str:
        """Its name in study files and plans, such as "docker"."""

    @property
    def uses_this_machine(self) -> bool:
        """Whether tools run on this machine, and lease its GPUs."""

    def code_id(self, tool: Tool) -> str:
        """An id of the tool's code, which changes exactly when its results may change.

        Raises:
            UsageError: the tool is not built; the message says how to build it.
        """

    def run(self, invocation: Invocation) -> int:
        """Run a tool to its end and return its exit code; adopt a run of the same step that is still alive."""

    def build(self, tool: Tool) -> None:
        """Make the tool's image or environment, unless it is up to date.

        Raises:
            UsageError: it does not build.
        """
