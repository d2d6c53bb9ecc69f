"""How a tool is started: in Docker, or as a process in the tool's own virtual environment.

A runner is a module-sized class that fulfils `Runner`; everything that is the same for all of them is in `Invocation`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from coordinator.tools.finding import Tool


@dataclass(frozen=True, slots=True)
class Invocation:
    """One run of a tool.

    Attributes:
        name: unique on this machine and the same again for the same step of the same study, so that a run that
            outlived its coordinator is found again.
        fingerprint: of the step; a container of this name with another fingerprint is of an older plan.
        tool: which tool.
        arguments: of its command line, without those that say where folders are.
        data: folder of dataset folders, read-only.
        dataset: the one that the tool may see.
        shows_labels: whether it may see the dataset's labels.
        out: folder it writes to.
        inputs: name -> folder, read-only below /in.
        weights: folder of weights, read-only; None where there is none.
        log: file that its output is appended to.
        gpus: indices of the leased devices; empty for none.
        held_files: descriptors of locks that must stay held as long as the tool lives.
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


class Runner(Protocol):
    """Starts tools."""

    @property
    def runtime(self) -> str:
        """Its name in study files and plans, such as "docker"."""

    def identity(self, tool: Tool) -> str:
        """What the tool's code is: changes when and only when its results may change.

        Raises:
            UsageError: the tool is not built; the message says how to build it.
        """

    def run(self, invocation: Invocation) -> int:
        """Run a tool to its end and return its exit code; a run of the same step that still lives is adopted."""

    def build(self, tool: Tool) -> None:
        """Make the tool's image or environment; nothing is done where it is up to date."""
