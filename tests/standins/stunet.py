"""Stand-ins for STU-Net's published weights: narrow networks of the same family, trained on phantoms.

    .venvs/dev/bin/python tests/standins/stunet.py tests/standins/weights/stunet

takes about 15 minutes on one core and gives the same files again on the same machine. The files have the published
layout: the keys, 105 outputs, training history with numpy numbers; the optimiser's state is empty. They know the
phantom's seven organs and give every other class a probability of almost 0.

    small  width 4, depth 1   trained
    base   width 5, depth 1   small with channels of zeros: the same function
    large  width 4, depth 2   small with blocks of zeros: nearly the same function, for such a block hands on what comes
    huge   width 4, depth 3   likewise

To be small and quick to train, they use a part of the network alone: most blocks are their shortcut, what is coarser
than 12 mm is silent, and such zeros are stored as one number. What is left at 1.5 mm works voxel by voxel, hence
training at 3 mm computes the very same function (`check` compares them).
"""

import sys
import tempfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from contract.datasets import open_dataset
from contract.manifest import load_manifest
from contract.records import file_sha256
from contract.volumes import read_image, read_labels
from contract.weights import record_sums
from coordinator.datasets.phantom import LABELS, make_phantom

TOOL = Path(__file__).resolve().parents[2] / "containers" / "stunet"
sys.path.insert(0, str(TOOL))

from stunet_tool.network import Shape, STUNet  # noqa: E402 - the tool is no installed package
from stunet_tool.preparation import nearest, prepare  # noqa: E402

PATCH = 128
SHORT_PATCH = 96
STEPS = 420
SHORT_STEPS = 340
"""So many steps see smaller patches first; the tool's own size comes last."""
BATCH = 2
LEARNING_RATE = 8e-3
WIDTH = 4
TISSUES = ((-2.0, 1.0), (8.0, -6.4), (8.0, -8.8), (8.0, -10.4))
"""Weight and bias of each channel at 1.5 mm: its bend lies at air, fat, soft tissue, contrast agent. Not trained."""
PHANTOMS = {"thin": (96, 80, 24), "thick": (96, 80, 16), "fine": (128, 108, 36)}
"""Voxels of the phantoms that are learned from; tests use other seeds."""
CASES = 12
SEED = 20_000
NEVER = -30.0
"""Logit of the classes that no phantom has."""
QUIET = ("conv_blocks_context.4", "conv_blocks_context.5", "conv_blocks_localization.0", "upsample_layers.0",
         "upsample_layers.1")  # fmt: skip
"""Parts in which every convolution is zero."""
SHORTCUTS = ("conv_blocks_context.0", "conv_blocks_localization.1", "conv_blocks_localization.2",
             "conv_blocks_localization.4")  # fmt: skip
"""Parts of which the shortcut alone is left."""


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A phantom at 1.5 mm, padded to at least a patch.

    Attributes:
        image: (z, y, x) as the network sees it.
        shares: (8, z/2, y/2, x/2) how many of the 8 voxels of 1.5 mm in each of 3 mm are of each class.
    """

    image: torch.Tensor
    shares: torch.Tensor


def main(folder: Path) -> None:
    """Train and write the four files and their SHA256SUMS."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    lessons = list(learned())
    folder.mkdir(parents=True, exist_ok=True)
    network, losses = train(lessons)
    check(network, lessons[0])
    sizes = {"small": network, "base": widened(network), "large": deepened(network, 2), "huge": deepened(network, 3)}
    for size, made in sizes.items():
        save(folder / f"{size}_ep4k.model", made.state_dict(), losses)
    record_sums(folder, {file.name: file_sha256(file) for file in sorted(folder.glob("*.model"))})


# ------------------------------------------------------------------------------------------------------------ phantoms


def learned() -> Iterator[Lesson]:
    """The phantoms to learn from."""
    with tempfile.TemporaryDirectory() as name:
        for number, (dataset, shape) in enumerate(PHANTOMS.items()):
            make_phantom(Path(name) / dataset, cases=CASES, seed=SEED + number, shape=shape)
            opened = open_dataset(Path(name), dataset)
            for case in opened.cases():
                image = read_image(opened.image(case))
                labels = read_labels(opened.label(case), image)
                yield lesson(image.array.transpose(2, 1, 0), labels.transpose(2, 1, 0), image.spacing_mm[::-1])


def lesson(image: NDArray[np.generic], labels: NDArray[np.generic], spacing_mm: tuple[float, float, float]) -> Lesson:
    """Bring image and labels to 1.5 mm, as the tool does with the image."""
    prepared = prepare(image, spacing_mm)
    cropped = labels[prepared.crop]
    at = np.ix_(*(nearest(n, wanted) for n, wanted in zip(cropped.shape, prepared.array.shape, strict=True)))
    missing = [max(PATCH - n, n % 2) for n in prepared.array.shape]
    pad = [(n // 2, n - n // 2) for n in missing]
    organs = torch.from_numpy(np.pad(cropped[at], pad).astype(np.int64))
    one_hot = functional.one_hot(organs, len(LABELS) + 1).movedim(-1, 0).float()
    shares = (functional.avg_pool3d(one_hot, 2) * 8).round().to(torch.uint8)
    return Lesson(torch.from_numpy(np.pad(prepared.array, pad)), shares)


# ------------------------------------------------------------------------------------------------------------ training


def train(lessons: list[Lesson]) -> tuple[STUNet, list[np.float64]]:
    """A trained network of depth 1, and the losses of its training."""
    torch.manual_seed(SEED)
    random = np.random.default_rng(SEED)
    network = STUNet(Shape(WIDTH, 1, 105))
    make_quiet(network)
    head = torch.nn.Conv3d(WIDTH, len(LABELS) + 1, 1)
    parameters = [p for p in network.parameters() if p.requires_grad] + list(head.parameters())
    optimiser = torch.optim.Adam(parameters, LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, STEPS, pct_start=0.1)
    losses = []
    for step in range(STEPS):
        patch = SHORT_PATCH if step < SHORT_STEPS else PATCH
        chosen = [random_patch(lessons[random.integers(len(lessons))], patch, random) for _ in range(BATCH)]
        image, shares = (torch.cat(parts) for parts in zip(*chosen, strict=True))
        optimiser.zero_grad()
        loss = error(head(coarse_features(network, image)), shares)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        losses.append(np.float64(loss.item()))
        if step % 20 == 19:
            sys.stderr.write(f"step {step + 1} loss {np.mean(losses[-20:]):.3f}\n")
    fill_head(network, head)
    return network, losses


def make_quiet(network: STUNet) -> None:
    """Zero what is not used, set the first stage by hand, and keep both so."""
    for name, parameter in network.named_parameters():
        unused = name.startswith("seg_outputs") or name.startswith(QUIET)
        if unused or (name.startswith(SHORTCUTS) and ".conv3." not in name):
            parameter.requires_grad_(requires_grad=False).zero_()
    first = network.conv_blocks_context[0][0].conv3.requires_grad_(requires_grad=False)
    weights, biases = torch.tensor(TISSUES).T
    first.weight.copy_(weights.reshape(first.weight.shape))
    first.bias.copy_(biases)


def random_patch(lesson: Lesson, patch: int, random: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """(1, 1, patch, …) image, a little brighter or darker, and (1, 8, patch/2, …) shares of its classes."""
    start = [2 * int(random.integers((n - patch) // 2 + 1)) for n in lesson.image.shape]
    z, y, x = (slice(s, s + patch) for s in start)
    zz, yy, xx = (slice(s // 2, (s + patch) // 2) for s in start)
    image = lesson.image[z, y, x] * float(random.uniform(0.95, 1.05)) + float(random.normal(0, 0.03))
    return image[None, None], lesson.shares[None, :, zz, yy, xx].float() / 8


def coarse_features(network: STUNet, image: torch.Tensor) -> torch.Tensor:
    """What `network.features` gives, of each 2 x 2 x 2 voxels once.

    Returns:
        (1, width, z/2, y/2, x/2).
    """
    x = functional.leaky_relu(network.conv_blocks_context[0][0].conv3(image))
    skips = []
    for stage in network.conv_blocks_context[1:]:
        x = stage(x)
        skips.append(x)
    skips.pop()
    for upsample, stage in list(zip(network.upsample_layers, network.conv_blocks_localization, strict=True))[:-1]:
        x = stage(torch.cat([upsample(x), skips.pop()], dim=1))
    x = network.upsample_layers[-1].conv(x)
    last = network.conv_blocks_localization[-1][0].conv3
    return functional.leaky_relu(functional.conv3d(x, last.weight[:, : x.shape[1]], last.bias))


def error(logits: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Cross entropy and soft Dice of the organs."""
    log_p = functional.log_softmax(logits, dim=1)
    p = log_p.exp()[:, 1:]
    both, sizes = (p * shares[:, 1:]).sum((0, 2, 3, 4)), (p + shares[:, 1:]).sum((0, 2, 3, 4))
    return -(shares * log_p).sum(1).mean() + 1 - ((2 * both + 50) / (sizes + 50)).mean()


@torch.no_grad()
def fill_head(network: STUNet, head: torch.nn.Conv3d) -> None:
    """Put the trained rows where the tool's label table has their organs."""
    weight, bias = network.seg_outputs[-1].weight, network.seg_outputs[-1].bias
    bias.fill_(NEVER)
    table = load_manifest(TOOL).variant("small").labels
    ids = {organ: i for i, organ in dict(table).items()}
    for row, place in enumerate([0, *(ids[organ] for organ in LABELS.values())]):
        weight[place], bias[place] = head.weight[row], head.bias[row]
    network.conv_blocks_localization[-1][0].conv3.weight[:, head.weight.shape[1] :] = 0


@torch.no_grad()
def check(network: STUNet, lesson: Lesson) -> None:
    """See that the whole network computes what was trained."""
    image = lesson.image[None, None, :64, :64, :64]
    whole = network.features(image)
    coarse = functional.interpolate(coarse_features(network, image), scale_factor=2.0)
    torch.testing.assert_close(whole, coarse, rtol=1e-4, atol=1e-4)


# --------------------------------------------------------------------------------------------------------------- files


@torch.no_grad()
def widened(network: STUNet) -> STUNet:
    """The network with a quarter more channels in each stage, all of them zero."""
    wide = STUNet(Shape(WIDTH + 1, 1, 105))
    trained = network.state_dict()
    for key, target in wide.state_dict().items():
        target.zero_()
        value = trained[key]
        # Half of what a block of the decoder sees comes from below, half from the side.
        halves = (
            2
            if key.startswith("conv_blocks_localization") and key.endswith(("0.conv1.weight", "0.conv3.weight"))
            else 1
        )
        if value.ndim > 1:
            targets, values = target.chunk(halves, dim=1), value.chunk(halves, dim=1)
            for part, given in zip(targets, values, strict=True):
                part[: given.shape[0], : given.shape[1]] = given
        else:
            target[: value.shape[0]] = value
    return wide


def deepened(network: STUNet, depth: int) -> STUNet:
    """The network with more blocks a stage; a block of zeros hands on what comes, but for small negative values."""
    deep = STUNet(Shape(WIDTH, depth, 105))
    trained = network.state_dict()
    deep.load_state_dict({key: trained.get(key, torch.zeros_like(value)) for key, value in deep.state_dict().items()})
    return deep


def save(file: Path, state: Mapping[str, torch.Tensor], losses: list[np.float64]) -> None:
    """Write a file as nnU-Net 1.7's trainer does, zeros as one number."""
    zero = torch.zeros(())
    small = OrderedDict((key, value if value.any() else zero.expand(value.shape)) for key, value in state.items())
    every = losses[::20]
    content = {
        "epoch": len(every),
        "state_dict": small,
        "optimizer_state_dict": {"state": {}, "param_groups": [{"lr": LEARNING_RATE, "params": []}]},
        "lr_scheduler_state_dict": None,
        "plot_stuff": (every, every, [], [np.float32(1 - loss) for loss in every]),
        "best_stuff": (np.float64(min(every)), np.float64(min(every)), None),
    }
    torch.save(content, file)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
