"""Hyper-parameters of a training, from the options of step `train`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from contract.errors import UsageError
from contract.manifest import OptionValue


@dataclass(frozen=True, slots=True)
class Settings:
    """Hyper-parameters. Of these, the paper states epochs, batches per epoch and learning rate; the others are ours.

    Attributes:
        foreground_from: labels on whose foreground patches are centred: own, reference or none.
        mirror_axes: axes along which half of the patches are mirrored.
        precision: float32, bfloat16 (where torch's autocast uses it) or auto.
        gradient_clip: largest norm of the gradient, as in MONAI's DynUNet tutorial.
    """

    epochs: int
    batches_per_epoch: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int
    foreground: float
    foreground_from: str
    deep_supervision: bool
    augment: bool
    augmentation_seed: int
    mirror_axes: tuple[int, ...]
    precision: str
    gradient_clip: float = 12.0

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.epochs * self.batches_per_epoch


def read_settings(options: Mapping[str, OptionValue]) -> Settings:
    """Read the options of the command line."""
    return Settings(
        epochs=int(options["epochs"]),
        batches_per_epoch=int(options["batches-per-epoch"]),
        batch_size=int(options["batch-size"]),
        learning_rate=float(options["learning-rate"]),
        weight_decay=float(options["weight-decay"]),
        seed=int(options["seed"]),
        foreground=float(options["foreground"]),
        foreground_from=str(options["foreground-from"]),
        deep_supervision=bool(options["deep-supervision"]),
        augment=bool(options["augment"]),
        augmentation_seed=int(options["augmentation-seed"]),
        mirror_axes=parse_mirror_axes(str(options["mirror-axes"])),
        precision=str(options["precision"]),
    )


def parse_mirror_axes(text: str) -> tuple[int, ...]:
    """Read "none", or some of x, y, z.

    Raises:
        UsageError: anything else.
    """
    if text != "none" and (not text or set(text) - set("xyz") or len(set(text)) != len(text)):
        raise UsageError(f"--mirror-axes must be none or some of x, y, z such as `yz`, but it is {text!r}")
    return () if text == "none" else tuple(sorted("xyz".index(axis) for axis in text))


def learning_rate_at(step: int, settings: Settings) -> float:
    """Cosine annealing from the base learning rate at step 0 to 0 at the end of the last step."""
    return settings.learning_rate * (1 + math.cos(math.pi * step / settings.steps)) / 2
