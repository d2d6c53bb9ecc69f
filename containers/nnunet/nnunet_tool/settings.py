"""The options of the command line, typed and checked."""

from collections.abc import Mapping
from dataclasses import dataclass

from contract import UsageError
from contract.manifest import OptionValue

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class PlanSettings:
    """Options that the plan depends on.

    Attributes:
        planner: name of nnU-Net's planner.
        gpu_memory_gb: that a training may use; None for the planner's own.
        patch: voxels along RAS axes; None for the planner's own.
        features: channels of each stage; None for the planner's own.
        batch_size: patches of a batch; None for the planner's own.
    """

    planner: str
    gpu_memory_gb: float | None
    patch: tuple[int, int, int] | None
    features: tuple[int, ...] | None
    batch_size: int | None


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How a fold is trained.

    Attributes:
        epochs: of a fold.
        iterations: batches that an epoch trains on.
        validation_iterations: batches of the fold's own cases that are evaluated after each epoch, only for the log.
        learning_rate: of the first epoch; falls to 0 polynomially.
        mirroring: flip patches in training, and average over flips in prediction.
        seed: of initial weights, patches and augmentation.
        workers: processes that make batches; 0 makes them in the main process.
        checkpoint_every: epochs between checkpoints.
    """

    epochs: int
    iterations: int
    validation_iterations: int
    learning_rate: float
    mirroring: bool
    seed: int
    workers: int
    checkpoint_every: int


def read_plan_settings(options: Mapping[str, OptionValue]) -> PlanSettings:
    """Read the options of `prepare`.

    Raises:
        UsageError: not a list of numbers, or one of another length.
    """
    patch = _parse_numbers("patch", str(options["patch"]), at_least=1)
    if patch is not None and len(patch) != 3:
        raise UsageError(f"--patch must be auto or three numbers x,y,z, but it is {options['patch']!r}")
    features = _parse_numbers("features", str(options["features"]), at_least=1)
    if features is not None and len(features) < 2:
        raise UsageError(f"--features must be auto or two stages at least, but it is {options['features']!r}")
    return PlanSettings(
        planner=str(options["planner"]),
        gpu_memory_gb=float(options["gpu-memory-gb"]) or None,
        patch=patch and (patch[0], patch[1], patch[2]),
        features=features,
        batch_size=int(options["batch-size"]) or None,
    )


def read_train_settings(options: Mapping[str, OptionValue]) -> TrainSettings:
    """Read the options of the folds."""
    return TrainSettings(
        epochs=int(options["epochs"]),
        iterations=int(options["iterations-per-epoch"]),
        validation_iterations=int(options["validation-iterations"]),
        learning_rate=float(options["learning-rate"]),
        mirroring=bool(options["mirroring"]),
        seed=int(options["seed"]),
        workers=int(options["augmentation-workers"]),
        checkpoint_every=int(options["checkpoint-every"]),
    )


def _parse_numbers(option: str, text: str, at_least: int) -> tuple[int, ...] | None:
    """Read `auto` (None) or whole numbers with commas between them."""
    if text == AUTO:
        return None
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < at_least:
        raise UsageError(
            f"--{option} must be auto or whole numbers from {at_least} with commas between them, but it is {text!r}"
        )
    return numbers
