"""Step `train`: image store + label store -> model.pt, identity.json, log.parquet, events.

for each step:  batch (sampling.py, loading.py) -> network -> loss -> clipped gradient -> AdamW at the cosine's rate

A step depends only on its number and on the weights: the learning rate is a closed form, patches are keyed by their
number, and there is no dropout. So a checkpoint, taken between two steps, is all that a run needs to go on.
"""

import math
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from types import FrameType
from typing import Any

import monai
import torch
from torch import Tensor, nn

from contract import Context, log_line, records
from contract.devices import choose_device
from contract.errors import Stopped, UsageError
from dynunet_trainer import checkpoint
from dynunet_trainer.checkpoint import State
from dynunet_trainer.devices import autocast, choose_precision, make_deterministic
from dynunet_trainer.loading import Batch, batches
from dynunet_trainer.logs import EVENTS, TABLE, Epoch, write_logs
from dynunet_trainer.loss import deep_supervision_loss
from dynunet_trainer.network import build_network, compute_outputs, load_weights, named_weights
from dynunet_trainer.parent import load_parent_weights
from dynunet_trainer.recipe import describe_training
from dynunet_trainer.sampling import Augmentation, Sampler
from dynunet_trainer.settings import Settings, learning_rate_at, read_settings
from dynunet_trainer.store import LabelStore, Store, open_label_store, open_store
from dynunet_trainer.validation import Validator, make_validator


def train(context: Context) -> None:
    """Train one network on one label version; from the weights of a parent where one is given.

    Raises:
        UsageError: stores that don't fit, no foreground anywhere, or a parent of another plan.
        Stopped: SIGTERM came; the checkpoint holds every step done.
    """
    settings = read_settings(context.options)
    device = torch.device(choose_device(context.arguments.device, torch.cuda))
    make_deterministic(context.threads)
    data = _open_data(context, settings)
    config = _config(context, settings)
    environment = _environment(context, settings, device)
    watched = int(context.options["validation-patches"])
    recipe = describe_training(settings, data.store.plan, environment["precision"], watched)
    context.facts.update(device=str(device), environment=environment, recipe=recipe)
    if not context.arguments.overwrite and checkpoint.has_model(context.folder, config):
        checkpoint.remove_checkpoints(context.folder)
        return
    for stale in (checkpoint.MODEL, checkpoint.IDENTITY, TABLE, EVENTS):
        (context.folder / stale).unlink(missing_ok=True)
    run = _start_run(context, settings, data, config, environment, device)
    resumed_at = run.step
    _run_steps(context, settings, data, run)
    context.facts["steps_this_run"] = run.step - resumed_at  # what the seconds in `run.json` were for
    _write_results(context, settings, data, run)
    summary = f"{settings.epochs} epochs, loss {run.log[-1].loss:.4f}" if run.log else "no epoch"
    context.progress.end(run.failure or summary)


@dataclass(frozen=True, slots=True, eq=False)
class _Data:
    """What a network learns from."""

    store: Store
    labels: LabelStore
    sampler: Sampler
    validator: Validator


@dataclass(slots=True)
class _Run:
    """What changes from step to step, and what else a checkpoint holds.

    Attributes:
        failure: why training can't go on; None while it can.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    device: torch.device
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    step: int = 0
    losses: list[float] = field(default_factory=list)
    log: list[Epoch] = field(default_factory=list)
    failure: str | None = None

    def state(self) -> State:
        log = [tuple(epoch) for epoch in self.log]
        return State(self.step, named_weights(self.network), self.optimizer.state_dict(), self.losses, log)


def _open_data(context: Context, settings: Settings) -> _Data:
    store, labels = open_store(context.input_folder("store")), open_label_store(context.input_folder("labels"))
    reference = open_label_store(context.input_folder("reference"))
    for version in (labels, reference):
        if dict(version.organs) != context.dataset.labels:
            raise UsageError(
                f"{version.folder}: must have the labels of {context.dataset.folder}, but has {version.organs}"
            )
    cases = tuple(case for case in store.training if case not in labels.missing)
    if not any(labels.foreground(case).size for case in cases):
        raise UsageError(f"{labels.folder}: labels must mark some voxel, but all {len(cases)} cases are background")
    foreground_of = {"own": labels, "reference": reference, "none": None}[settings.foreground_from]
    augmentation = Augmentation(settings.augmentation_seed, settings.mirror_axes) if settings.augment else None
    sampler = Sampler(store, labels, cases, settings.seed, settings.foreground, foreground_of, augmentation)
    return _Data(store, labels, sampler, make_validator(store, reference, int(context.options["validation-patches"])))


def _config(context: Context, settings: Settings) -> dict[str, Any]:
    """All choices that the result depends on; a checkpoint of another config is of another run."""
    parent = context.optional_input_folder("parent")
    return {
        "version": context.manifest.version,
        "dataset": context.dataset.name,
        "settings": asdict(settings),
        "store": records.outputs_digest(context.input_folder("store")),
        "labels": records.outputs_digest(context.input_folder("labels")),
        "reference": records.outputs_digest(context.input_folder("reference")),
        "parent": records.outputs_digest(parent) if parent else None,
    }


def _environment(context: Context, settings: Settings, device: torch.device) -> dict[str, Any]:
    """Everything else that the result's bits depend on; a run that goes on in another environment logs that."""
    cuda = device.type == "cuda"
    return {
        "threads": context.threads,
        "device": torch.cuda.get_device_name(device) if cuda else device.type,
        "precision": choose_precision(settings.precision, device),
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda if cuda else None,
        "cudnn": torch.backends.cudnn.version() if cuda else None,  # type: ignore[no-untyped-call]
        "monai": str(monai.__version__),
    }


def _start_run(
    context: Context,
    settings: Settings,
    data: _Data,
    config: Mapping[str, Any],
    environment: Mapping[str, Any],
    device: torch.device,
) -> _Run:
    """Start a run at its first step, or where the checkpoint left it."""
    torch.manual_seed(settings.seed)
    network = build_network(data.store.plan, len(data.labels.ids), deep_supervision=settings.deep_supervision)
    if folder := context.optional_input_folder("parent"):
        load_parent_weights(network, folder, data.store.plan, data.labels.organs)
    network.to(device)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, foreach=False, fused=False
    )
    run = _Run(network.train(), optimizer, device, config, environment)
    state = None if context.arguments.overwrite else checkpoint.load_state(context.folder, config, environment)
    if state:
        load_weights(network, state.weights)
        optimizer.load_state_dict(state.optimizer)
        run.step, run.losses, run.log = state.step, state.losses, [Epoch(*epoch) for epoch in state.log]
    return run


def _run_steps(context: Context, settings: Settings, data: _Data, run: _Run) -> None:
    every = int(context.options["checkpoint-every"]) or settings.batches_per_epoch
    context.progress.begin(settings.epochs, "train", done=len(run.log))
    steps, workers = range(run.step, settings.steps), int(context.options["workers"])
    clock = _Clock()
    with _stop_between_steps() as stop:
        for batch in batches(data.sampler, steps, settings.batch_size, workers):
            loss = _train_step(settings, batch, run)
            clock.add(batch.waited_s)
            if not math.isfinite(loss):
                run.failure = f"did not converge: the loss or the gradient is {loss} at step {run.step + 1}"
                return
            run.losses.append(loss)
            run.step += 1
            if run.step % settings.batches_per_epoch == 0:
                _end_epoch(context, settings, data, run)
                context.progress.advance(
                    f"epoch {len(run.log)}", f"{run.log[-1].describe()}, {clock.describe(settings)}"
                )
                clock = _Clock()
            if run.step % every == 0 or stop.requested:
                checkpoint.save_state(context.folder, run.config, run.environment, run.state())
            if stop.requested:
                raise Stopped


def _end_epoch(context: Context, settings: Settings, data: _Data, run: _Run) -> None:
    loss, rate = math.fsum(run.losses) / len(run.losses), learning_rate_at(run.step - 1, settings)
    dice = data.validator.dice(run.network, run.device)
    run.log.append(Epoch(len(run.log) + 1, loss, rate, dice))
    run.losses.clear()
    write_logs(context.folder, run.log)


@dataclass(slots=True)
class _Clock:
    """Throughput, and how much of the time the network waited for data; logged, never stored."""

    started: float = field(default_factory=time.monotonic)
    steps: int = 0
    waited_s: float = 0.0

    def add(self, waited_s: float) -> None:
        self.steps += 1
        self.waited_s += waited_s

    def describe(self, settings: Settings) -> str:
        seconds = max(time.monotonic() - self.started, 1e-9)
        speed = self.steps * settings.batch_size / seconds
        return f"{speed:.1f} patches/s, {self.waited_s / seconds:.0%} waiting for data"


def _train_step(settings: Settings, batch: Batch, run: _Run) -> float:
    """Train on one batch and return its loss; if loss or gradient is not finite, return that and keep the weights."""
    images = _move_to(run.device, torch.from_numpy(batch.images)[:, None])
    channels = _move_to(run.device, torch.from_numpy(batch.channels))
    for group in run.optimizer.param_groups:
        group["lr"] = learning_rate_at(run.step, settings)
    run.optimizer.zero_grad(set_to_none=True)
    with autocast(run.device, settings.precision):
        outputs = compute_outputs(run.network, images)
    loss = deep_supervision_loss([scores.float() for scores in outputs], channels)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(run.network.parameters(), settings.gradient_clip, foreach=False)
    if not (math.isfinite(loss.item()) and math.isfinite(norm.item())):
        return norm.item() if math.isfinite(loss.item()) else loss.item()
    run.optimizer.step()
    return loss.item()


def _move_to(device: torch.device, tensor: Tensor) -> Tensor:
    """Move to a device; a GPU copies from pinned memory while it computes."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


@dataclass(slots=True)
class _Stop:
    requested: bool = False


@contextmanager
def _stop_between_steps() -> Iterator[_Stop]:
    """Let SIGTERM wait for the end of a step: within a step, weights and optimizer don't match."""
    stop = _Stop()

    def request(signum: int, frame: FrameType | None) -> None:
        stop.requested = True

    previous = signal.signal(signal.SIGTERM, request)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, previous)


def _write_results(context: Context, settings: Settings, data: _Data, run: _Run) -> None:
    """Write logs and model, then remove the checkpoint: if this is killed, the next run ends with the same files."""
    write_logs(context.folder, run.log)
    content = {
        "plan": data.store.plan.to_dict(),
        "labels": dict(data.labels.organs),
        "missing": [case for case in data.labels.missing if case in data.store.training],
        "deep_supervision": settings.deep_supervision,
        "failure": run.failure,
        "weights": named_weights(run.network),
    }
    if run.failure:
        log_line(f"{context.folder.name}: {run.failure}; a smaller --learning-rate may help")
    checkpoint.save_model(context.folder, run.config, run.environment, content)
    checkpoint.remove_checkpoints(context.folder)
