"""What every tool image shares. A tool's author needs the names below; `tool.py` shows how they fit together.

They are imported when they are first used: the coordinator starts a process for each step, which needs few of them.
"""

from typing import TYPE_CHECKING

from contract.lazy import lazy_names

if TYPE_CHECKING:
    from contract.context import Context
    from contract.errors import CaseError, ContractError, Stopped, UsageError
    from contract.labelmaps import LabelMap
    from contract.progress import log_line
    from contract.steps import Case, Cases, Job
    from contract.tool import run
    from contract.volumes import Volume

__all__ = [
    "Case",
    "CaseError",
    "Cases",
    "Context",
    "ContractError",
    "Job",
    "LabelMap",
    "Stopped",
    "UsageError",
    "Volume",
    "log_line",
    "run",
]

_MODULES = {
    "Case": "steps",
    "CaseError": "errors",
    "Cases": "steps",
    "Context": "context",
    "ContractError": "errors",
    "Job": "steps",
    "LabelMap": "labelmaps",
    "Stopped": "errors",
    "UsageError": "errors",
    "Volume": "volumes",
    "log_line": "progress",
    "run": "tool",
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
