"""Files of weights: the state of a training between two epochs, and the model when it is done.

Both hold only tensors and plain Python types, so `torch.load(weights_only=True)` reads them. Both say which run they
belong to, and neither holds a time. The model has nnU-Net's own keys, so that nnU-Net's commands can predict with it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import torch

from contract import UsageError, atomic, log_line
from contract.pickles import plain_data_only
from nnunet_tool.trainer import Epoch, FoldTrainer

STATE, MODEL = ".checkpoint.pt", "checkpoint_final.pth"

RunConfig = Mapping[str, Any]
"""Everything that the bits of a run depend on, as plain data."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What is recorded of a training.

    Attributes:
        log: of its epochs.
        drawn: training case -> patches of it that a step was taken on.
    """

    log: list[Epoch]
    drawn: dict[str, int]


def save_state(folder: Path, run_config: RunConfig, trainer: FoldTrainer, log: list[Epoch]) -> None:
    """Replace the state in one step."""
    scaler = trainer.grad_scaler
    content = {
        "identity": dict(run_config),
        **_describe_trained(Trained(log, dict(trainer.drawn))),
        "network_weights": trainer.network.state_dict(),
        "optimizer_state": trainer.optimizer.state_dict(),
        "grad_scaler_state": scaler.state_dict() if scaler else None,
    }
    _save(folder / STATE, content)


def restore_state(folder: Path, run_config: RunConfig, trainer: FoldTrainer) -> list[Epoch]:
    """Put the state into a trainer; return the log so far, which is empty where there is no state of this run."""
    content = _read_if_of_this_run(folder / STATE, run_config)
    if content is None:
        return []
    trainer.network.load_state_dict(content["network_weights"])
    trainer.optimizer.load_state_dict(content["optimizer_state"])
    if trainer.grad_scaler:
        trainer.grad_scaler.load_state_dict(content["grad_scaler_state"])
    trained = _parse_trained(content)
    trainer.drawn = Counter(trained.drawn)
    trainer.current_epoch = len(trained.log)
    return trained.log


def save_model(folder: Path, run_config: RunConfig, trainer: FoldTrainer, log: list[Epoch]) -> None:
    """Write the model in one step; the same run gives the same bytes."""
    axes = trainer.inference_allowed_mirroring_axes
    content = {
        "identity": dict(run_config),
        **_describe_trained(Trained(log, dict(trainer.drawn))),
        "network_weights": {name: tensor.cpu().clone() for name, tensor in trainer.network.state_dict().items()},
        "trainer_name": "nnUNetTrainer",
        "init_args": {"configuration": trainer.configuration_name, "fold": trainer.fold},
        "inference_allowed_mirroring_axes": axes if axes is None else tuple(axes),
        "current_epoch": len(log),
    }
    _save(folder / MODEL, content)


def restore_model(folder: Path, run_config: RunConfig, trainer: FoldTrainer) -> Trained | None:
    """Put the model's weights into a trainer; None where there is no model of this run."""
    content = _read_if_of_this_run(folder / MODEL, run_config)
    if content is None:
        return None
    trainer.network.load_state_dict(content["network_weights"])
    trainer.inference_allowed_mirroring_axes = content["inference_allowed_mirroring_axes"]
    return _parse_trained(content)


def _describe_trained(trained: Trained) -> dict[str, Any]:
    return {"log": [astuple(epoch) for epoch in trained.log], "trained_on": dict(sorted(trained.drawn.items()))}


def _parse_trained(content: Mapping[str, Any]) -> Trained:
    return Trained([Epoch(*line) for line in content["log"]], dict(content["trained_on"]))


def _save(path: Path, content: dict[str, Any]) -> None:
    with atomic.part_file(path) as part:
        torch.save(content, part)


def _read_if_of_this_run(path: Path, run_config: RunConfig) -> dict[str, Any] | None:
    """Read a file; None where there is none, or where it is of another run, which is logged."""
    if not path.is_file():
        return None
    with plain_data_only(path, torch.serialization.safe_globals, "remove it"):
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, dict) or not isinstance(saved_config := content.get("identity"), dict):
        raise UsageError(f"{path}: must be a file that this tool wrote, but is not; remove it")
    if saved_config != dict(run_config):
        changed = [key for key in sorted({*saved_config, *run_config}) if saved_config.get(key) != run_config.get(key)]
        log_line(f"{path}: is of another run ({', '.join(changed)} differ); starting from the beginning")
        return None
    return content
