"""What every tool image shares. A tool's author needs the names below; `tool.py` shows how they fit together.

They are imported when they are first used: the coordinator starts a process a step and needs only the small modules.
"""

from typing import TYPE_CHECKING

from contract.lazy import lazy_names

if TYPE_CHECKING:
    from contract.errors import CaseError, ContractError, Stopped, UsageError
    from contract.tool import Case, Cases, Context, Job, run
    from contract.volumes import LabelMap, Volume

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
    "run",
]

_MODULES = {
    "Case": "tool",
    "CaseError": "errors",
    "Cases": "tool",
    "Context": "tool",
    "ContractError": "errors",
    "Job": "tool",
    "LabelMap": "volumes",
    "Stopped": "errors",
    "UsageError": "errors",
    "Volume": "volumes",
    "run": "tool",
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
