"""Step `train`: image store + label store -> model.pt, log.parquet.

for each step:  patches (sampling.py) -> network -> loss -> clipped gradient -> AdamW at the cosine's learning rate

What a step does depends on its number and on the weights, nothing else: the learning rate is a closed form, patches
are keyed by the sample's number, and there is no dropout. So the checkpoint, taken between two steps, is all there is.
"""

import math
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from types import FrameType
from typing import Any

import monai
import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from contract import atomic, records
from contract.errors import Stopped, UsageError
from contract.manifest import OptionValue
from contract.tool import Context
from dynunet_trainer import checkpoint
from dynunet_trainer.checkpoint import State
from dynunet_trainer.devices import choose_device, make_deterministic
from dynunet_trainer.loss import deep_supervision_loss
from dynunet_trainer.network import build_network, load_weights, outputs_of, weights_of
from dynunet_trainer.sampling import Sampler
from dynunet_trainer.store import LabelStore, open_label_store, open_store

LOG = "log.parquet"


@dataclass(frozen=True, slots=True)
class Settings:
    """Hyper-parameters. Defaults of the options are the paper's where it names them.

    Attributes:
        gradient_clip: largest norm of the gradient, as in MONAI's DynUNet tutorial.
    """

    epochs: int
    batches_per_epoch: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int
    foreground: float
    deep_supervision: bool
    gradient_clip: float = 12.0

    @property
    def steps(self) -> int:
        """Of the whole run."""
        return self.epochs * self.batches_per_epoch


def settings_from(options: Mapping[str, OptionValue]) -> Settings:
    """Read the options of the command line."""
    return Settings(
        epochs=int(options["epochs"]),
        batches_per_epoch=int(options["batches-per-epoch"]),
        batch_size=int(options["batch-size"]),
        learning_rate=float(options["learning-rate"]),
        weight_decay=float(options["weight-decay"]),
        seed=int(options["seed"]),
        foreground=float(options["foreground"]),
        deep_supervision=bool(options["deep-supervision"]),
    )


def learning_rate_at(step: int, settings: Settings) -> float:
    """Cosine annealing from the base learning rate at step 0 to 0 at the end of the last step."""
    return settings.learning_rate * (1 + math.cos(math.pi * step / settings.steps)) / 2


def train(context: Context) -> None:
    """Train one network on one label version.

    Raises:
        UsageError: stores that don't fit, no foreground anywhere, or a loss that is not finite.
        Stopped: SIGTERM came; the checkpoint holds every step done.
    """
    settings = settings_from(context.options)
    device = choose_device(context.arguments.device)
    make_deterministic(context.threads)
    context.facts["device"] = str(device)
    sampler = _sampler(context, settings)
    identity = _identity(context, settings, device)
    if not context.arguments.overwrite and checkpoint.has_model_of(context.folder, identity):
        (context.folder / checkpoint.CHECKPOINT).unlink(missing_ok=True)
        return
    for stale in (checkpoint.MODEL, LOG):
        (context.folder / stale).unlink(missing_ok=True)
    run = _start(context, settings, sampler, identity, device)
    _run_steps(context, settings, sampler, identity, run)
    _write_results(context, settings, sampler.labels, identity, run)
    context.progress.end(f"{settings.epochs} epochs, loss {run.log[-1][0]:.4f}")


@dataclass(slots=True)
class _Run:
    """What changes from step to step."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    device: torch.device
    step: int = 0
    losses: list[float] = field(default_factory=list)
    log: list[tuple[float, float]] = field(default_factory=list)

    def state(self) -> State:
        return State(self.step, weights_of(self.network), self.optimizer.state_dict(), self.losses, self.log)


def _sampler(context: Context, settings: Settings) -> Sampler:
    store, labels = open_store(context.input("store")), open_label_store(context.input("labels"))
    if dict(labels.organs) != context.dataset.labels:
        raise UsageError(f"{labels.folder}: must have the labels of {context.dataset.folder}, but has {labels.organs}")
    cases = tuple(case for case in store.cases if case not in labels.missing)
    for case in cases:
        if labels.labels(case).shape != store.cases[case].shape:
            raise UsageError(f"{labels.folder}: {case} must be on the voxels of {store.folder}, but has another shape")
    if not any(labels.foreground(case).size for case in cases):
        raise UsageError(f"{labels.folder}: labels must mark some voxel, but all {len(cases)} cases are background")
    return Sampler(store, labels, cases, settings.seed, settings.foreground)


def _identity(context: Context, settings: Settings, device: torch.device) -> dict[str, Any]:
    """Everything that the bits of the result depend on."""
    return {
        "version": context.manifest.version,
        "dataset": context.dataset.name,
        "settings": asdict(settings),
        "store": records.outputs_digest(context.input("store")),
        "labels": records.outputs_digest(context.input("labels")),
        "threads": context.threads,
        "device": device.type if device.type == "cpu" else torch.cuda.get_device_name(device),
        "torch": str(torch.__version__),
        "monai": str(monai.__version__),
    }


def _start(
    context: Context, settings: Settings, sampler: Sampler, identity: dict[str, Any], device: torch.device
) -> _Run:
    """A run at its first step, or where the checkpoint left it."""
    torch.manual_seed(settings.seed)
    channels = len(sampler.labels.ids)
    network = build_network(sampler.store.plan, channels, deep_supervision=settings.deep_supervision).to(device)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, foreach=False, fused=False
    )
    run = _Run(network.train(), optimizer, device)
    state = None if context.arguments.overwrite else checkpoint.load_state(context.folder, identity)
    if state:
        load_weights(network, state.weights)
        optimizer.load_state_dict(state.optimizer)
        run.step, run.losses, run.log = state.step, state.losses, state.log
    return run


def _run_steps(context: Context, settings: Settings, sampler: Sampler, identity: dict[str, Any], run: _Run) -> None:
    every = int(context.options["checkpoint-every"]) or settings.batches_per_epoch
    context.progress.begin(settings.epochs, "train", done=len(run.log))
    with _stop_between_steps() as stop:
        while run.step < settings.steps:
            learning_rate = learning_rate_at(run.step, settings)
            run.losses.append(_train_step(settings, sampler, run, learning_rate))
            run.step += 1
            if run.step % settings.batches_per_epoch == 0:
                run.log.append((math.fsum(run.losses) / len(run.losses), learning_rate))
                run.losses.clear()
                context.progress.advance(f"epoch {len(run.log)}", f"loss {run.log[-1][0]:.3f}")
            if run.step % every == 0 or stop.requested:
                checkpoint.save_state(context.folder, identity, run.state())
            if stop.requested:
                raise Stopped


def _train_step(settings: Settings, sampler: Sampler, run: _Run, learning_rate: float) -> float:
    """One batch; returns its loss."""
    images, labels = _batch(settings, sampler, run)
    for group in run.optimizer.param_groups:
        group["lr"] = learning_rate
    run.optimizer.zero_grad(set_to_none=True)
    loss = deep_supervision_loss(outputs_of(run.network, images), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(run.network.parameters(), settings.gradient_clip, foreach=False)
    if not (math.isfinite(loss.item()) and math.isfinite(norm.item())):
        raise UsageError(
            f"loss and gradient must be finite, but at step {run.step + 1} they are {loss.item():g} and "
            f"{norm.item():g}; train with a smaller --learning-rate than {settings.learning_rate:g}"
        )
    run.optimizer.step()
    return loss.item()


def _batch(settings: Settings, sampler: Sampler, run: _Run) -> tuple[Tensor, Tensor]:
    """Normalised images (B, 1, X, Y, Z) and channels (B, X, Y, Z) of a step."""
    first = run.step * settings.batch_size
    patches = [sampler.patch(k) for k in range(first, first + settings.batch_size)]
    images = torch.from_numpy(np.stack([image for image, _ in patches]))[:, None]
    labels = torch.from_numpy(np.stack([channels for _, channels in patches]))
    return images.to(run.device), labels.to(run.device)


@dataclass(slots=True)
class _Stop:
    requested: bool = False


@contextmanager
def _stop_between_steps() -> Iterator[_Stop]:
    """Let SIGTERM wait for the end of a step: in the middle of one, weights and optimizer are of different steps."""
    stop = _Stop()

    def request(signum: int, frame: FrameType | None) -> None:
        stop.requested = True

    earlier = signal.signal(signal.SIGTERM, request)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, earlier)


def _write_results(
    context: Context, settings: Settings, labels: LabelStore, identity: dict[str, Any], run: _Run
) -> None:
    """Log, then model, then no checkpoint any more: killed in between, the next run ends with the same."""
    log = pl.DataFrame(
        {
            "epoch": range(1, settings.epochs + 1),
            "loss": [loss for loss, _ in run.log],
            "learning_rate": [rate for _, rate in run.log],
            "validation_dice": [None] * settings.epochs,
        },
        schema={"epoch": pl.Int64, "loss": pl.Float64, "learning_rate": pl.Float64, "validation_dice": pl.Float64},
    )
    with atomic.replaced(context.folder / LOG) as part:
        log.write_parquet(part)
    plan = open_store(context.input("store")).plan
    content = {
        "plan": plan.plain(),
        "labels": dict(labels.organs),
        "missing": list(labels.missing),
        "weights": weights_of(run.network),
    }
    checkpoint.save_model(context.folder, identity, content)
    (context.folder / checkpoint.CHECKPOINT).unlink(missing_ok=True)
