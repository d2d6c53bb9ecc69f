"""Files of weights: checkpoints while training runs, the model when it is done.

Both hold tensors and plain Python types alone, so `torch.load(weights_only=True)` reads them: a model file can't bring
code along. Both say what was chosen for the run (`config`) and in which environment it ran, and neither holds a time.

    .checkpoint.pt  .checkpoint-before.pt     the last two
    model.pt                                  the result
    identity.json                             its config and environment, for those who don't read torch's files
"""

import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contract import atomic
from contract.errors import UsageError

CHECKPOINT, BEFORE, OTHER = ".checkpoint.pt", ".checkpoint-before.pt", ".checkpoint-other.pt"
MODEL, IDENTITY = "model.pt", "identity.json"

Plain = Mapping[str, Any]
"""Strings, numbers and containers of them."""


@dataclass(frozen=True, slots=True)
class State:
    """A run after a whole number of steps.

    Attributes:
        step: how many are done.
        weights: of the network, each once.
        optimizer: its `state_dict`.
        losses: of the steps of the epoch that is not done yet.
        log: a row for each epoch that is done.
    """

    step: int
    weights: dict[str, Tensor]
    optimizer: dict[str, Any]
    losses: list[float]
    log: list[tuple[Any, ...]]


def save_state(folder: Path, config: Plain, environment: Plain, state: State) -> None:
    """Write a checkpoint in one step; the one before it is kept."""
    content = {name: getattr(state, name) for name in State.__slots__}
    newest = folder / CHECKPOINT
    identity = {"config": dict(config), "environment": dict(environment)}
    _save(folder / f"{CHECKPOINT}.new", {**identity, "rng": torch.get_rng_state(), **content})
    if newest.exists():
        newest.replace(folder / BEFORE)
    (folder / f"{CHECKPOINT}.new").replace(newest)
    atomic.sync(folder)


def load_state(folder: Path, config: Plain, environment: Plain) -> State | None:
    """Read the last checkpoint, or the one before it where the last is damaged.

    Returns:
        None where there is none, or where it is of another run: that is said, and the file is put aside.

    Raises:
        UsageError: there are checkpoints, but none is whole.
    """
    content = _newest(folder)
    if content is None:
        return None
    other, elsewhere, rng = content.pop("config"), content.pop("environment"), content.pop("rng")
    if other != config:
        (folder / CHECKPOINT).replace(folder / OTHER)
        (folder / BEFORE).unlink(missing_ok=True)
        _say(
            f"{folder / CHECKPOINT}: is of another run ({_difference(other, config)}); it is now {OTHER}, and this run "
            "starts from the beginning"
        )
        return None
    if elsewhere != environment:
        _say(
            f"warning: {folder / CHECKPOINT}: goes on in another environment ({_difference(elsewhere, environment)}); "
            "the result will differ in its last bits from that of a run in one environment"
        )
    torch.set_rng_state(rng)
    return State(**content)


def remove(folder: Path) -> None:
    """Remove all checkpoints: the model is written."""
    for name in (CHECKPOINT, BEFORE, f"{CHECKPOINT}.new"):
        (folder / name).unlink(missing_ok=True)


def save_model(folder: Path, config: Plain, environment: Plain, content: Plain) -> None:
    """Write the model in one step; the same content gives the same bytes."""
    identity = {"config": dict(config), "environment": dict(environment)}
    atomic.write_json(folder / IDENTITY, {**identity, "plan": content["plan"], "failure": content["failure"]})
    _save(folder / MODEL, {**identity, **content})


def _save(path: Path, content: Plain) -> None:
    """Write in one step; through memory, since torch hides why a file cannot be written, such as a full disk."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    atomic.write_bytes(path, buffer.getvalue())


def has_model_of(folder: Path, config: Plain) -> bool:
    """Whether this very run already wrote its model."""
    content = load_file(folder / MODEL)
    return content is not None and content.get("config") == config


def _newest(folder: Path) -> dict[str, Any] | None:
    problems = []
    for file in (folder / CHECKPOINT, folder / BEFORE):
        try:
            content = load_file(file)
        except UsageError as error:
            problems.append(error)
            continue
        if content is not None:
            if problems:
                _say(f"warning: {problems[0]}; going on from {file.name}, which is older")
            return content
    if problems:
        raise problems[0]
    return None


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
    if not isinstance(content, dict) or "config" not in content:
        raise UsageError(f"{path}: must be a file that this trainer wrote, but is not; remove it")
    return content


def _difference(old: Plain, new: Plain) -> str:
    changed = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    return ", ".join(f"{key} {old.get(key)!r} there, {new.get(key)!r} here" for key in changed)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
