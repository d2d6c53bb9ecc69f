"""Finds the tool folders, writes the folder of a new tool, and keeps what is known of foreign images.

containers/*/manifest.yaml ──► finding ──► tools by name
TOOLS/*.tool.json ◄──► added ──► images that were checked
templates/ ──► new ──► the folder of a new tool
options ──► arguments of a tool's command line
timelimit ──► work that a foreign manifest could make endless
"""

from typing import TYPE_CHECKING

from contract.lazy import lazy_names

if TYPE_CHECKING:
    from coordinator.tools.finding import Tool, find_tool, find_tools

__all__ = ["Tool", "find_tool", "find_tools"]

__getattr__, __dir__ = lazy_names(__name__, {"Tool": "finding", "find_tool": "finding", "find_tools": "finding"})
