"""nnU-Net's trainer of one fold, driven from here: deterministic, without its log files, figures and pools.

The cases that it trains on are counted from the batches that its loader gave, not from the split that was asked for.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from batchgenerators.utilities.file_and_folder_operations import load_json
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import nn

from contract import UsageError
from nnunet_tool.batches import Batch, batches
from nnunet_tool.cases import PLANS, Prepared
from nnunet_tool.environment import nnunet_environment, seed_all
from nnunet_tool.loss import DeterministicCrossEntropy
from nnunet_tool.preprocessed import PlainDataset, check_cases
from nnunet_tool.settings import TrainSettings

FEWEST_SUPERVISED = 3
"""Stages from which on nnU-Net's deep supervision has an output to weigh: it leaves out the deepest."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """A line of the log.

    Attributes:
        learning_rate: of its steps.
        train_loss: mean over its batches.
        validation_loss: mean over batches of the fold's own cases, after it.
        validation_dice: of these batches: mean over the organs in them; NaN where there are none.
    """

    learning_rate: float
    train_loss: float
    validation_loss: float
    validation_dice: float


class FoldTrainer(nnUNetTrainer):  # type: ignore[misc]
    """nnU-Net's default trainer with our settings.

    Attributes:
        settings: set by `fold_trainer`, since nnU-Net inspects the arguments of `__init__`.
        labelled: the cases that its network labels.
        unlearned: nnU-Net's ids of organs that no training case has.
        drawn: training case -> patches of it that a step was taken on.
    """

    settings: TrainSettings
    labelled: tuple[str, ...]
    unlearned: list[int]
    drawn: Counter[str]

    def print_to_log_file(self, *args: object, also_print_to_console: bool = True, add_timestamp: bool = True) -> None:
        """Write no log with times in it; `log.csv` and the progress hold the same."""

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> tuple[Any, ...]:
        """As in nnU-Net; without mirroring as in its `nnUNetTrainerNoMirroring`."""
        rotation, flat, initial_patch, axes = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        self.inference_allowed_mirroring_axes = axes if self.settings.mirroring else None
        return rotation, flat, initial_patch, self.inference_allowed_mirroring_axes

    def _build_loss(self) -> nn.Module:
        """As in nnU-Net, with a cross entropy that is deterministic on a GPU."""
        loss = super()._build_loss()
        (loss.loss if self.enable_deep_supervision else loss).ce = DeterministicCrossEntropy()
        return loss

    def get_dataloaders(self) -> tuple[Iterator[Batch], Iterator[Batch]]:
        """nnU-Net's loaders, with batches numbered from the next epoch on."""
        pairs = super().get_dataloaders()
        settings = self.settings
        per_epoch = (settings.iterations, settings.validation_iterations)
        workers = (settings.workers, (settings.workers + 1) // 2)
        train, validation = (
            batches(
                pair.data_loader,
                (settings.seed, self.fold, purpose),
                range(self.current_epoch * count, settings.epochs * count),
                processes,
                pinned=self.device.type == "cuda",
            )
            for pair, purpose, count, processes in zip(pairs, ("train", "look"), per_epoch, workers, strict=True)
        )
        return train, validation

    def start(self) -> None:
        """Make the loaders."""
        self.dataloader_train, self.dataloader_val = self.get_dataloaders()
        self.set_deep_supervision_enabled(self.enable_deep_supervision)

    def train_step(self, batch: Batch) -> dict[str, Any]:
        """As in nnU-Net; counts the cases of the batch."""
        outcome: dict[str, Any] = super().train_step(batch)
        self.drawn.update(str(case) for case in batch["keys"])
        return outcome

    def run_epoch(self, check: Callable[[], None]) -> Epoch:
        """Train for an epoch, then evaluate batches of the fold's own cases, only for the log.

        Args:
            check: raises where the run is to stop; called before each step.

        Raises:
            UsageError: the loss is not finite.
        """
        self.network.train()
        self.lr_scheduler.step(self.current_epoch)
        learning_rate = float(self.optimizer.param_groups[0]["lr"])
        losses = []
        for _ in range(self.settings.iterations):
            check()
            losses.append(float(self.train_step(next(self.dataloader_train))["loss"]))
        train_loss = math.fsum(losses) / len(losses)
        if not math.isfinite(train_loss):
            raise UsageError(
                f"fold-{self.fold}: loss must be finite, but in epoch {self.current_epoch + 1} it is {train_loss}; "
                f"train with a smaller --learning-rate than {self.settings.learning_rate:g}"
            )
        self.network.eval()
        with torch.no_grad():
            outcomes = [
                self.validation_step(next(self.dataloader_val)) for _ in range(self.settings.validation_iterations)
            ]
        self.current_epoch += 1
        validation_loss = float(np.mean([batch["loss"] for batch in outcomes]))
        return Epoch(learning_rate, train_loss, validation_loss, _mean_dice(outcomes))

    def end(self) -> None:
        """Release the loaders and their processes."""
        self.dataloader_train = self.dataloader_val = None


def _mean_dice(outcomes: list[dict[str, Any]]) -> float:
    """Mean Dice of the organs that occur in labels or predictions, over all voxels of some batches."""
    true, false, missed = (
        np.sum([batch[key] for batch in outcomes], axis=0) for key in ("tp_hard", "fp_hard", "fn_hard")
    )
    size = 2 * true + false + missed
    return float(np.mean(2 * true[size > 0] / size[size > 0])) if (size > 0).any() else math.nan


@contextmanager
def fold_trainer(
    folder: Path, prepared: Prepared, fold: int, settings: TrainSettings, device: torch.device
) -> Iterator[FoldTrainer]:
    """Make the trainer of a fold, its network initialised by the seed.

    Args:
        folder: results of `prepare`.
        prepared: read from them.
        fold: 0..4.
        settings: of the training.
        device: to train on.
    """
    files = folder / prepared.dataset
    plans = load_json(str(files / f"{PLANS}.json")) | {"continue_training": False}
    with (
        TemporaryDirectory() as results,
        nnunet_environment(augmentation_processes=0, preprocessed=folder, results=Path(results)),
    ):
        trainer = FoldTrainer(plans, prepared.configuration, fold, load_json(str(files / "dataset.json")), device)
        trainer.device = device  # nnU-Net takes the first GPU, whichever was chosen
        trainer.settings, trainer.labelled, trainer.drawn = settings, prepared.labelled_cases(fold), Counter()
        trainer.unlearned = [prepared.label_ids.ids.index(i) + 1 for i in prepared.absent_ids(fold)]
        trainer.num_epochs, trainer.initial_lr = settings.epochs, settings.learning_rate
        stages = trainer.configuration_manager.network_arch_init_kwargs["n_stages"]
        trainer.enable_deep_supervision = stages >= FEWEST_SUPERVISED
        seed_all(settings.seed, fold, "weights")
        trainer.initialize()
        trainer.dataset_class = PlainDataset
        check_cases(trainer.preprocessed_dataset_folder, sorted(prepared.ids_of_cases))
        try:
            yield trainer
        finally:
            trainer.end()
