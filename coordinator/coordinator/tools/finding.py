"""Finding tools: each folder with a `manifest.yaml` is one; there is no list to edit anywhere."""

import os
from dataclasses import dataclass
from pathlib import Path

from contract.errors import UsageError
from contract.manifest import Manifest, load_manifest
from contract.yamlfiles import did_you_mean

CHECKOUT = Path(__file__).resolve().parents[3] / "containers"
"""The folder of tool folders of the checkout that holds this file."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool's folder and what its manifest says."""

    folder: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """The tool's name, which is its folder's."""
        return self.manifest.name


def tools_folder() -> Path:
    """The folder of tool folders: $COORDINATOR_TOOLS, or `containers/` of the checkout that holds this file."""
    named = os.environ.get("COORDINATOR_TOOLS")
    folder = Path(named) if named else CHECKOUT
    if not folder.is_dir():
        raise UsageError(f"{folder}: folder of tools must exist, but does not; set COORDINATOR_TOOLS to `containers/`")
    return folder.resolve()


def find_tools(folder: Path | None = None) -> dict[str, Tool]:
    """All tools by name, sorted.

    Args:
        folder: of tool folders; `tools_folder()` when None.

    Raises:
        UsageError: a manifest is unsound.
    """
    root = folder or tools_folder()
    found = [Tool(file.parent, load_manifest(file.parent)) for file in sorted(root.glob("*/manifest.yaml"))]
    return {tool.name: tool for tool in found}


def find_tool(name: str, folder: Path | None = None) -> Tool:
    """A tool by name.

    Raises:
        UsageError: there is none of that name; the nearest is given.
    """
    tools = find_tools(folder)
    if name not in tools:
        raise UsageError(f"there is no tool {name!r}; {did_you_mean(name, tools)}")
    return tools[name]
