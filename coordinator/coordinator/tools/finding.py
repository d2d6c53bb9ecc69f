"""Finds tools: each folder with a `manifest.yaml` is a tool."""

import os
from dataclasses import dataclass
from pathlib import Path

from contract.errors import UsageError
from contract.manifest import Manifest, load_manifest
from contract.yamlfiles import did_you_mean
from coordinator.tools.added import AddedTool

CHECKOUT = Path(__file__).resolve().parents[3] / "containers"
"""The folder of tool folders of the checkout that holds this file."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool's folder and its manifest.

    Attributes:
        folder: of its sources; of an added tool, the folder that says what is kept of it.
        manifest: all that is known of it without running it.
        added: what is kept of it, where it is a foreign image; None for a tool with sources here.
    """

    folder: Path
    manifest: Manifest
    added: AddedTool | None = None

    @property
    def name(self) -> str:
        """The tool's name, which is that of its folder where it has one."""
        return self.manifest.name


def tools_folder() -> Path:
    """The folder of tool folders: $COORDINATOR_TOOLS, or `containers/` of the checkout that holds this file.

    Raises:
        UsageError: the folder does not exist.
    """
    from_user = os.environ.get("COORDINATOR_TOOLS")
    folder = Path(from_user) if from_user else CHECKOUT
    if not folder.is_dir():
        raise UsageError(f"{folder}: folder of tools must exist, but does not; set COORDINATOR_TOOLS to `containers/`")
    return folder.resolve()


def find_tools(folder: Path | None = None) -> dict[str, Tool]:
    """Find all tools.

    Args:
        folder: folder of tool folders; None for `tools_folder()`.

    Returns:
        Name -> tool, sorted by name.

    Raises:
        UsageError: a manifest is invalid.
    """
    root = folder or tools_folder()
    tools = [Tool(file.parent, load_manifest(file.parent)) for file in sorted(root.glob("*/manifest.yaml"))]
    return {tool.name: tool for tool in tools}


def find_tool(name: str, folder: Path | None = None) -> Tool:
    """Find a tool by name.

    Raises:
        UsageError: no tool has that name; the message suggests the nearest.
    """
    tools = find_tools(folder)
    if name not in tools:
        raise UsageError(f"there is no tool {name!r}; {did_you_mean(name, tools)}")
    return tools[name]
