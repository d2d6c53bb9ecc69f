"""Files of weights: the state of a training between two epochs, and the model when it is done.

Both hold tensors and plain Python types alone, so `torch.load(weights_only=True)` reads them; both say which run they
are of, and neither holds a time. The model has nnU-Net's own keys, so that nnU-Net's commands can predict with it.
"""

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import torch

from contract import UsageError, atomic
from nnunet_tool.trainer import Epoch, FoldTrainer

STATE, MODEL = ".checkpoint.pt", "checkpoint_final.pth"

Identity = Mapping[str, Any]
"""Everything that the bits of a run depend on, as plain data."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What is told of a training.

    Attributes:
        log: of its epochs.
        drawn: training case -> patches of it that a step was taken on.
    """

    log: list[Epoch]
    drawn: dict[str, int]


def save_state(folder: Path, identity: Identity, trainer: FoldTrainer, log: list[Epoch]) -> None:
    """Replace the state in one step."""
    scaler = trainer.grad_scaler
    content = {
        "identity": dict(identity),
        **_told(Trained(log, dict(trainer.drawn))),
        "network_weights": trainer.network.state_dict(),
        "optimizer_state": trainer.optimizer.state_dict(),
        "grad_scaler_state": scaler.state_dict() if scaler else None,
    }
    _save(folder / STATE, content)


def restore_state(folder: Path, identity: Identity, trainer: FoldTrainer) -> list[Epoch]:
    """Let a trainer go on where the state left it; gives the log so far, empty where there is no state of this run."""
    content = _of_this_run(folder / STATE, identity)
    if content is None:
        return []
    trainer.network.load_state_dict(content["network_weights"])
    trainer.optimizer.load_state_dict(content["optimizer_state"])
    if trainer.grad_scaler:
        trainer.grad_scaler.load_state_dict(content["grad_scaler_state"])
    trained = _read(content)
    trainer.drawn = Counter(trained.drawn)
    trainer.current_epoch = len(trained.log)
    return trained.log


def save_model(folder: Path, identity: Identity, trainer: FoldTrainer, log: list[Epoch]) -> None:
    """Write the model in one step; the same run gives the same bytes."""
    axes = trainer.inference_allowed_mirroring_axes
    content = {
        "identity": dict(identity),
        **_told(Trained(log, dict(trainer.drawn))),
        "network_weights": {name: tensor.cpu().clone() for name, tensor in trainer.network.state_dict().items()},
        "trainer_name": "nnUNetTrainer",
        "init_args": {"configuration": trainer.configuration_name, "fold": trainer.fold},
        "inference_allowed_mirroring_axes": axes if axes is None else tuple(axes),
        "current_epoch": len(log),
    }
    _save(folder / MODEL, content)


def restore_model(folder: Path, identity: Identity, trainer: FoldTrainer) -> Trained | None:
    """Put the model's weights into a trainer; None where there is no model of this very run."""
    content = _of_this_run(folder / MODEL, identity)
    if content is None:
        return None
    trainer.network.load_state_dict(content["network_weights"])
    trainer.inference_allowed_mirroring_axes = content["inference_allowed_mirroring_axes"]
    return _read(content)


def _told(trained: Trained) -> dict[str, Any]:
    return {"log": [astuple(epoch) for epoch in trained.log], "trained_on": dict(sorted(trained.drawn.items()))}


def _read(content: Mapping[str, Any]) -> Trained:
    return Trained([Epoch(*line) for line in content["log"]], dict(content["trained_on"]))


def _save(path: Path, content: dict[str, Any]) -> None:
    with atomic.part_file(path) as part:
        torch.save(content, part)


def _of_this_run(path: Path, identity: Identity) -> dict[str, Any] | None:
    """Read a file; None where there is none, or one of another run, which is said."""
    if not path.is_file():
        return None
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        other = content["identity"]
    except Exception as error:  # torch raises whatever pickle and zip raise
        raise UsageError(f"{path}: must be a whole file that this tool wrote, but: {error}; remove it") from error
    if other != dict(identity):
        changed = [key for key in sorted({*other, *identity}) if other.get(key) != identity.get(key)]
        sys.stderr.write(f"{path}: is of another run ({', '.join(changed)} differ); starting from the beginning\n")
        return None
    return content
