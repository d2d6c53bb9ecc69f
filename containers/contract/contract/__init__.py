"""What every tool image shares. A tool's author needs the names below; `tool.py` shows how they fit together."""

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
