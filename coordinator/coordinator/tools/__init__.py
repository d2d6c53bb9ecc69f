"""The tools: folders with a `manifest.yaml`.

finding      all tools of `containers/`, or one by name
new          a folder for a new tool, from templates/
"""

from typing import TYPE_CHECKING

from contract.lazy import lazy_names

if TYPE_CHECKING:
    from coordinator.tools.finding import Tool, find_tool, find_tools

__all__ = ["Tool", "find_tool", "find_tools"]

__getattr__, __dir__ = lazy_names(__name__, {"Tool": "finding", "find_tool": "finding", "find_tools": "finding"})
