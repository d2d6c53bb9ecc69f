"""What every tool image shares. A tool's author needs the names below; `tool.py` shows how they fit together.

They are imported when they are first used: the coordinator starts a process a step and needs only the small modules.
"""

from typing import TYPE_CHECKING

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

_MODULES = ("contract.errors", "contract.tool", "contract.volumes")


def __getattr__(name: str) -> object:
    """Import one of `__all__` from the module that defines it."""
    import importlib

    if name in __all__:
        for module in map(importlib.import_module, _MODULES):
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
