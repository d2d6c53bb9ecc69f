"""Files of weights: checkpoints while training runs, the model when it is done.

Both hold only tensors and plain Python types, so `torch.load(weights_only=True)` reads them: a model file can't bring
code along. Both hold the choices of the run (`config`) and the environment in which it ran; neither holds a time.

    .checkpoint.pt  .checkpoint-before.pt     the last two
    model.pt                                  the result
    identity.json                             its config and environment, for programs without torch
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contract import atomic, log_line
from contract.errors import UsageError
from contract.pickles import plain_data_only

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


KEYS = {"config", "environment", "rng", *State.__slots__}
"""What a checkpoint holds."""


def save_state(folder: Path, config: Plain, environment: Plain, state: State) -> None:
    """Write a checkpoint in one step; the one before it is kept."""
    content = {name: getattr(state, name) for name in State.__slots__}
    newest = folder / CHECKPOINT
    origin = {"config": dict(config), "environment": dict(environment)}
    _save(folder / f"{CHECKPOINT}.new", {**origin, "rng": torch.get_rng_state(), **content})
    if newest.exists():
        newest.replace(folder / BEFORE)
    (folder / f"{CHECKPOINT}.new").replace(newest)
    atomic.sync(folder)


def load_state(folder: Path, config: Plain, environment: Plain) -> State | None:
    """Read the last checkpoint, or the one before it where the last is damaged.

    Returns:
        None where there is none, or where it is of another run: then the log says so, and the file is put aside.

    Raises:
        UsageError: there are checkpoints, but none is whole.
    """
    content = _read_newest(folder)
    if content is None:
        return None
    saved_config, saved_environment, rng = content.pop("config"), content.pop("environment"), content.pop("rng")
    if saved_config != config:
        (folder / CHECKPOINT).replace(folder / OTHER)
        (folder / BEFORE).unlink(missing_ok=True)
        changes = _describe_difference(saved_config, config)
        log_line(
            f"{folder / CHECKPOINT}: is of another run ({changes}); it is now {OTHER}, and this run starts from the "
            "beginning"
        )
        return None
    if saved_environment != environment:
        changes = _describe_difference(saved_environment, environment)
        log_line(
            f"warning: {folder / CHECKPOINT}: goes on in another environment ({changes}); the result will differ in "
            "its last bits from that of a run in one environment"
        )
    torch.set_rng_state(rng)
    return State(**content)


def remove_checkpoints(folder: Path) -> None:
    """Remove all checkpoints, once the model is written."""
    for name in (CHECKPOINT, BEFORE, f"{CHECKPOINT}.new"):
        (folder / name).unlink(missing_ok=True)


def save_model(folder: Path, config: Plain, environment: Plain, content: Plain) -> None:
    """Write the model in one step; the same content gives the same bytes."""
    origin = {"config": dict(config), "environment": dict(environment)}
    atomic.write_json(folder / IDENTITY, {**origin, "plan": content["plan"], "failure": content["failure"]})
    _save(folder / MODEL, {**origin, **content})


def _save(path: Path, content: Plain) -> None:
    """Write in one step; through memory, since torch hides why a file cannot be written, such as a full disk."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    atomic.write_bytes(path, buffer.getvalue())


def has_model(folder: Path, config: Plain) -> bool:
    """Whether a run of this config already wrote its model."""
    content = load_file(folder / MODEL)
    return content is not None and content.get("config") == config


def _read_newest(folder: Path) -> dict[str, Any] | None:
    problems = []
    for file in (folder / CHECKPOINT, folder / BEFORE):
        try:
            content = _load_checkpoint(file)
        except UsageError as error:
            problems.append(error)
            continue
        if content is not None:
            if problems:
                log_line(f"warning: {problems[0]}; going on from {file.name}, which is older")
            return content
    if problems:
        raise problems[0]
    return None


def _load_checkpoint(file: Path) -> dict[str, Any] | None:
    content = load_file(file)
    if content is not None and content.keys() != KEYS:
        raise UsageError(f"{file}: must be a checkpoint that this trainer wrote, but is not; remove it")
    return content


def load_file(path: Path) -> dict[str, Any] | None:
    """Read a checkpoint or a model onto the CPU; None where there is no such file.

    Raises:
        UsageError: it is damaged, or holds more than tensors and plain types.
    """
    if not path.is_file():
        return None
    with plain_data_only(path, torch.serialization.safe_globals, "remove it"):
        content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, dict) or "config" not in content:
        raise UsageError(f"{path}: must be a file that this trainer wrote, but is not; remove it")
    return content


def _describe_difference(old: Plain, new: Plain) -> str:
    changed = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    return ", ".join(f"{key} {old.get(key)!r} there, {new.get(key)!r} here" for key in changed)
