"""Files of weights: checkpoints while training runs, the model when it is done.

Both hold tensors and plain Python types alone, so `torch.load(weights_only=True)` reads them: a model file can't bring
code along. Both say which run they are of, and neither holds a time.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contract import atomic
from contract.errors import UsageError

CHECKPOINT, MODEL = ".checkpoint.pt", "model.pt"

Identity = Mapping[str, Any]
"""Everything that the bits of a run depend on, as plain data."""


@dataclass(frozen=True, slots=True)
class State:
    """A run after a whole number of steps.

    Attributes:
        step: how many are done.
        weights: of the network.
        optimizer: its `state_dict`.
        losses: of the steps of the epoch that is not done yet.
        log: (loss, learning rate) of each epoch that is done.
    """

    step: int
    weights: dict[str, Tensor]
    optimizer: dict[str, Any]
    losses: list[float]
    log: list[tuple[float, float]]


def save_state(folder: Path, identity: Identity, state: State) -> None:
    """Replace the checkpoint in one step."""
    content = {"identity": dict(identity), **{name: getattr(state, name) for name in State.__slots__}}
    _save(folder / CHECKPOINT, content)


def load_state(folder: Path, identity: Identity) -> State | None:
    """Read the checkpoint; None where there is none, or one of another run (which is said, and then replaced)."""
    content = load_file(folder / CHECKPOINT)
    if content is None:
        return None
    other = content.pop("identity")
    if other != identity:
        _say(f"{folder / CHECKPOINT}: is of another run ({_difference(other, identity)}); starting from the beginning")
        return None
    return State(**content)


def save_model(folder: Path, identity: Identity, content: Mapping[str, Any]) -> None:
    """Write the model in one step; the same content gives the same bytes."""
    _save(folder / MODEL, {"identity": dict(identity), **content})


def has_model_of(folder: Path, identity: Identity) -> bool:
    """Whether this very run already wrote its model."""
    content = load_file(folder / MODEL)
    return content is not None and content.get("identity") == identity


def load_file(path: Path) -> dict[str, Any] | None:
    """Read a checkpoint or a model onto the CPU; None where there is no such file.

    Raises:
        UsageError: it is damaged, or holds more than tensors and plain types.
    """
    if not path.is_file():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever pickle and zip raise
        raise UsageError(f"{path}: must be a whole file of weights, but: {error}; remove it") from error
    if not isinstance(content, dict) or "identity" not in content:
        raise UsageError(f"{path}: must be a file that this trainer wrote, but is not; remove it")
    return content


def _save(path: Path, content: Mapping[str, Any]) -> None:
    with atomic.replaced(path) as part:
        torch.save(dict(content), part)


def _difference(old: Identity, new: Identity) -> str:
    changed = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    return ", ".join(f"{key} {old.get(key)!r} there, {new.get(key)!r} here" for key in changed)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
