"""Step `train`: image store + label store -> model.pt, identity.json, log.parquet, events.

for each step:  batch (sampling.py, loading.py) -> network -> loss -> clipped gradient -> AdamW at the cosine's rate

What a step does depends on its number and on the weights, nothing else: the learning rate is a closed form, patches
are keyed by the sample's number, and there is no dropout. So the checkpoint, taken between two steps, is all there is.
"""

import math
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from types import FrameType
from typing import Any

import monai
import torch
from torch import Tensor, nn

from contract import Context, records
from contract.errors import Stopped, UsageError
from contract.manifest import OptionValue
from dynunet_trainer import checkpoint, parent
from dynunet_trainer.checkpoint import State
from dynunet_trainer.devices import autocast, choose_device, chosen_precision, make_deterministic
from dynunet_trainer.loading import Batch, batches
from dynunet_trainer.logs import EVENTS, TABLE, Epoch, write_logs
from dynunet_trainer.loss import deep_supervision_loss
from dynunet_trainer.network import build_network, load_weights, outputs_of, weights_of
from dynunet_trainer.sampling import Augmentation, Sampler
from dynunet_trainer.store import LabelStore, Store, open_label_store, open_store
from dynunet_trainer.validation import Validator


@dataclass(frozen=True, slots=True)
class Settings:
    """Hyper-parameters. Defaults of the options are the paper's where it names them.

    Attributes:
        foreground_from: whose foreground patches are centred on: own, reference or none.
        mirror_axes: axes along which half of the patches are mirrored.
        precision: float32, or bfloat16 for what torch's autocast computes in it.
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
        foreground_from=str(options["foreground-from"]),
        deep_supervision=bool(options["deep-supervision"]),
        augment=bool(options["augment"]),
        augmentation_seed=int(options["augmentation-seed"]),
        mirror_axes=mirror_axes(str(options["mirror-axes"])),
        precision=str(options["precision"]),
    )


def mirror_axes(text: str) -> tuple[int, ...]:
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


def train(context: Context) -> None:
    """Train one network on one label version; from the weights of a parent where one is given.

    Raises:
        UsageError: stores that don't fit, no foreground anywhere, or a parent of another plan.
        Stopped: SIGTERM came; the checkpoint holds every step done.
    """
    settings = settings_from(context.options)
    device = choose_device(context.arguments.device)
    make_deterministic(context.threads)
    data = _data(context, settings)
    config = _config(context, settings)
    environment = _environment(context, settings, device)
    context.facts.update(device=str(device), environment=environment)
    if not context.arguments.overwrite and checkpoint.has_model_of(context.folder, config):
        checkpoint.remove(context.folder)
        return
    for stale in (checkpoint.MODEL, checkpoint.IDENTITY, TABLE, EVENTS):
        (context.folder / stale).unlink(missing_ok=True)
    run = _start(context, settings, data, (config, environment), device)
    _run_steps(context, settings, data, run)
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
    """What changes from step to step, and what a checkpoint says beside.

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
        return State(self.step, weights_of(self.network), self.optimizer.state_dict(), self.losses, log)


def _data(context: Context, settings: Settings) -> _Data:
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
    return _Data(store, labels, sampler, Validator.of(store, reference, int(context.options["validation-patches"])))


def _config(context: Context, settings: Settings) -> dict[str, Any]:
    """Everything that was chosen and that the result depends on; a checkpoint of another is of another run."""
    start = context.optional_input_folder("parent")
    return {
        "version": context.manifest.version,
        "dataset": context.dataset.name,
        "settings": asdict(settings),
        "store": records.outputs_digest(context.input_folder("store")),
        "labels": records.outputs_digest(context.input_folder("labels")),
        "reference": records.outputs_digest(context.input_folder("reference")),
        "parent": records.outputs_digest(start) if start else None,
    }


def _environment(context: Context, settings: Settings, device: torch.device) -> dict[str, Any]:
    """Everything else that the result's bits depend on; a run that goes on in another one says so."""
    cuda = device.type == "cuda"
    return {
        "threads": context.threads,
        "device": torch.cuda.get_device_name(device) if cuda else device.type,
        "precision": chosen_precision(settings.precision, device),
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda if cuda else None,
        "cudnn": torch.backends.cudnn.version() if cuda else None,  # type: ignore[no-untyped-call]
        "monai": str(monai.__version__),
    }


def _start(
    context: Context,
    settings: Settings,
    data: _Data,
    identity: tuple[dict[str, Any], dict[str, Any]],
    device: torch.device,
) -> _Run:
    """A run at its first step, or where the checkpoint left it."""
    torch.manual_seed(settings.seed)
    network = build_network(data.store.plan, len(data.labels.ids), deep_supervision=settings.deep_supervision)
    if folder := context.optional_input_folder("parent"):
        parent.load_into(network, folder, data.store.plan, data.labels.organs)
    network.to(device)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, foreach=False, fused=False
    )
    run = _Run(network.train(), optimizer, device, *identity)
    state = None if context.arguments.overwrite else checkpoint.load_state(context.folder, *identity)
    if state:
        load_weights(network, state.weights)
        optimizer.load_state_dict(state.optimizer)
        run.step, run.losses, run.log = state.step, state.losses, [Epoch(*epoch) for epoch in state.log]
    return run


def _run_steps(context: Context, settings: Settings, data: _Data, run: _Run) -> None:
    every = int(context.options["checkpoint-every"]) or settings.batches_per_epoch
    context.progress.begin(settings.epochs, "train", done=len(run.log))
    made = batches(data.sampler, range(run.step, settings.steps), settings.batch_size, int(context.options["workers"]))
    clock = _Clock()
    with _stop_between_steps() as stop:
        for batch in made:
            loss = _train_step(settings, batch, run)
            clock.add(batch.waited_s)
            if not math.isfinite(loss):
                run.failure = f"did not converge: the loss or the gradient is {loss} at step {run.step + 1}"
                return
            run.losses.append(loss)
            run.step += 1
            if run.step % settings.batches_per_epoch == 0:
                _end_epoch(context, settings, data, run)
                context.progress.advance(f"epoch {len(run.log)}", f"{run.log[-1].told()}, {clock.told(settings)}")
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
    """Throughput, and how much of the time the network waited for data; told, never stored."""

    since: float = field(default_factory=time.monotonic)
    steps: int = 0
    waited_s: float = 0.0

    def add(self, waited_s: float) -> None:
        self.steps += 1
        self.waited_s += waited_s

    def told(self, settings: Settings) -> str:
        took = max(time.monotonic() - self.since, 1e-9)
        return f"{self.steps * settings.batch_size / took:.1f} patches/s, {self.waited_s / took:.0%} waiting for data"


def _train_step(settings: Settings, batch: Batch, run: _Run) -> float:
    """One batch; returns its loss, or what is not finite of loss and gradient: then the weights are left alone."""
    images = _on(run.device, torch.from_numpy(batch.images)[:, None])
    channels = _on(run.device, torch.from_numpy(batch.channels))
    for group in run.optimizer.param_groups:
        group["lr"] = learning_rate_at(run.step, settings)
    run.optimizer.zero_grad(set_to_none=True)
    with autocast(run.device, settings.precision):
        outputs = outputs_of(run.network, images)
    loss = deep_supervision_loss([scores.float() for scores in outputs], channels)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(run.network.parameters(), settings.gradient_clip, foreach=False)
    if not (math.isfinite(loss.item()) and math.isfinite(norm.item())):
        return norm.item() if math.isfinite(loss.item()) else loss.item()
    run.optimizer.step()
    return loss.item()


def _on(device: torch.device, tensor: Tensor) -> Tensor:
    """Move to a device; from pinned memory a GPU takes it while it still computes."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


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


def _write_results(context: Context, settings: Settings, data: _Data, run: _Run) -> None:
    """Logs, then model, then no checkpoint any more: killed in between, the next run ends with the same."""
    write_logs(context.folder, run.log)
    content = {
        "plan": data.store.plan.plain(),
        "labels": dict(data.labels.organs),
        "missing": list(data.labels.missing),
        "deep_supervision": settings.deep_supervision,
        "failure": run.failure,
        "weights": weights_of(run.network),
    }
    if run.failure:
        sys.stderr.write(f"{context.folder.name}: {run.failure}; a smaller --learning-rate may help\n")
    checkpoint.save_model(context.folder, run.config, run.environment, content)
    checkpoint.remove(context.folder)
