"""Stand-ins for STU-Net's published weights: narrow networks of the same family, trained on phantoms.

    .venvs/dev/bin/python tests/standins/stunet.py tests/standins/weights/stunet

takes about 15 minutes on one core and gives the same files again on the same machine. The files have the published
layout: the keys, 105 outputs, training history with numpy numbers; the optimiser's state is empty. They know the
phantom's seven organs and give every other class a probability of almost 0.

    small  width 3, depth 1   trained
    base   width 4, depth 1   trained
    large  width 4, depth 2   base with blocks of zeros: nearly the same function, for such a block hands on what comes
    huge   width 4, depth 3   likewise

To be small and quick to train, they use a part of the network alone: blocks at 6 and 12 mm, elsewhere the shortcuts;
what is coarser is silent, and zeros are stored as one number. Shortcuts work voxel by voxel, and those to 3 mm see every
other voxel along each axis: training with these voxels alone computes the very same function (`check` compares them).
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
from coordinator.datasets.anatomy import LABELS
from coordinator.datasets.phantom import make_phantom

TOOL = Path(__file__).resolve().parents[2] / "containers" / "stunet"
sys.path.insert(0, str(TOOL))

from stunet_tool.network import Shape, STUNet  # noqa: E402 - the tool is no installed package
from stunet_tool.preparation import nearest_indices, prepare  # noqa: E402

PATCH = 128
SHORT_PATCH = 96
STEPS = 1000
SHORT_STEPS = 900
"""So many steps see smaller patches first; the tool's own size comes last."""
BATCH = 2
LEARNING_RATE = 8e-3
TISSUES = ((8.0, -6.4), (8.0, -8.8), (8.0, -10.4), (-2.0, 1.0))
"""Weight and bias of each channel at 1.5 mm: its bend lies at fat, soft tissue, contrast agent, air. Not trained."""
PHANTOMS = {"thin": (96, 80, 24), "thick": (96, 80, 16), "coarse": (64, 52, 18)}
"""Voxels of the phantoms that are learned from; tests use other seeds."""
CASES = 12
SEED = 20_000
NEVER = -30.0
"""Logit of the classes that no phantom has."""
QUIET = ("conv_blocks_context.4", "conv_blocks_context.5", "conv_blocks_localization.0", "upsample_layers.0",
         "upsample_layers.1")  # fmt: skip
"""Parts in which every convolution is zero."""
SHORTCUTS = (
    *(f"conv_blocks_context.{stage}" for stage in (0, 1)), *(f"conv_blocks_localization.{stage}" for stage in (1, 3, 4))
)  # fmt: skip
"""Parts of which the shortcut alone is left."""


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A phantom at 1.5 mm, padded to at least a patch; one in 2 x 2 x 2 voxels of it.

    Attributes:
        image: (z/2, y/2, x/2) as the network sees it.
        shares: (8, z/2, y/2, x/2) how many of the 8 voxels of 1.5 mm in each of 3 mm are of each class.
    """

    image: torch.Tensor
    shares: torch.Tensor


def main(folder: Path) -> None:
    """Train and write the four files and their SHA256SUMS."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    lessons = list(make_lessons())
    folder.mkdir(parents=True, exist_ok=True)
    for width, depths in {4: {"base": 1, "large": 2, "huge": 3}, 3: {"small": 1}}.items():
        network, losses = train(width, lessons)
        check(network, lessons[0])
        for size, depth in depths.items():
            save(folder / f"{size}_ep4k.model", deepen(network, depth).state_dict(), losses)
    record_sums(folder, {file.name: file_sha256(file) for file in sorted(folder.glob("*.model"))})


# ------------------------------------------------------------------------------------------------------------ phantoms


def make_lessons() -> Iterator[Lesson]:
    """The phantoms to learn from."""
    with tempfile.TemporaryDirectory() as name:
        for number, (dataset, shape) in enumerate(PHANTOMS.items()):
            make_phantom(Path(name) / dataset, cases=CASES, seed=SEED + number, shape=shape)
            opened = open_dataset(Path(name), dataset)
            for case in opened.cases():
                image = read_image(opened.image(case))
                labels = read_labels(opened.label(case), image)
                yield make_lesson(image.array.transpose(2, 1, 0), labels.transpose(2, 1, 0), image.spacing_mm[::-1])


def make_lesson(
    image: NDArray[np.generic], labels: NDArray[np.generic], spacing_mm: tuple[float, float, float]
) -> Lesson:
    """Bring image and labels to 1.5 mm, as the tool does with the image."""
    prepared = prepare(image, spacing_mm)
    cropped = labels[prepared.crop]
    at = np.ix_(
        *(nearest_indices(n, result_count) for n, result_count in zip(cropped.shape, prepared.array.shape, strict=True))
    )
    missing = [max(PATCH - n, n % 2) for n in prepared.array.shape]
    pad = [(n // 2, n - n // 2) for n in missing]
    organs = torch.from_numpy(np.pad(cropped[at], pad).astype(np.int64))
    one_hot = functional.one_hot(organs, len(LABELS) + 1).movedim(-1, 0).float()
    shares = (functional.avg_pool3d(one_hot, 2) * 8).round().to(torch.uint8)
    return Lesson(torch.from_numpy(np.pad(prepared.array, pad))[::2, ::2, ::2].contiguous(), shares)


# ------------------------------------------------------------------------------------------------------------ training


def train(width: int, lessons: list[Lesson]) -> tuple[STUNet, list[np.float64]]:
    """A trained network of depth 1, and the losses of its training."""
    torch.manual_seed(SEED)
    random = np.random.default_rng(SEED)
    network = STUNet(Shape(width, 1, 105))
    make_quiet(network)
    head, *others = heads = torch.nn.ModuleList(
        torch.nn.Conv3d(width * factor, len(LABELS) + 1, 1) for factor in (1, 4, 8)
    )
    rarity = 1 / torch.stack([lesson.shares.float().mean((1, 2, 3)) for lesson in lessons]).mean(0).sqrt()
    parameters = [p for p in [*network.parameters(), *heads.parameters()] if p.requires_grad]
    optimiser = torch.optim.Adam(parameters, LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, STEPS, pct_start=0.1)
    losses = []
    for step in range(STEPS):
        patch = SHORT_PATCH if step < SHORT_STEPS else PATCH
        chosen = [random_patch(lessons[random.integers(len(lessons))], patch, random) for _ in range(BATCH)]
        image, shares = (torch.cat(parts) for parts in zip(*chosen, strict=True))
        optimiser.zero_grad()
        features, *coarser = coarse_features(network, image)
        loss = segmentation_loss(head(features), shares, rarity)
        for other_head, level in zip(others, coarser, strict=True):
            loss = loss + 0.3 * segmentation_loss(other_head(level), pool_shares(shares, level), rarity)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        losses.append(np.float64(loss.item()))
        if step % 20 == 19:
            sys.stderr.write(f"width {width} step {step + 1} loss {np.mean(losses[-20:]):.3f}\n")
    fill_head(network, head)
    return network, losses


def make_quiet(network: STUNet) -> None:
    """Zero what is not used, set the first stage by hand, and keep both so."""
    for name, parameter in network.named_parameters():
        unused = name.startswith("seg_outputs") or name.startswith(QUIET)
        if unused or (name.startswith(SHORTCUTS) and ".conv3." not in name):
            parameter.requires_grad_(requires_grad=False).zero_()
    first = network.conv_blocks_context[0][0].conv3.requires_grad_(requires_grad=False)
    weights, biases = torch.tensor(TISSUES[: first.out_channels]).T
    first.weight.copy_(weights.reshape(first.weight.shape))
    first.bias.copy_(biases)


def random_patch(lesson: Lesson, patch: int, random: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """(1, 1, patch/2, …) image, a little brighter or darker, and (1, 8, patch/2, …) shares of its classes."""
    start = [int(random.integers(n - patch // 2 + 1)) for n in lesson.image.shape]
    z, y, x = (slice(s, s + patch // 2) for s in start)
    image = lesson.image[z, y, x] * float(random.uniform(0.95, 1.05)) + float(random.normal(0, 0.03))
    return image[None, None], lesson.shares[None, :, z, y, x].float() / 8


def coarse_features(network: STUNet, image: torch.Tensor) -> list[torch.Tensor]:
    """What `network.features` gives, of each 2 x 2 x 2 voxels once; and what it is made of.

    Args:
        network: that uses a part of itself alone.
        image: (1, 1, z, y, x) every other voxel.

    Returns:
        (1, width, z, y, x) features, then those of the decoder's stages at 6 and 12 mm, which are trained to tell the
        organs as well.
    """
    down, up, across = network.conv_blocks_context, network.conv_blocks_localization, network.upsample_layers
    at_3_mm = shortcut(down[1], shortcut(down[0], image))
    at_6_mm = down[2](at_3_mm)
    x_12_mm = shortcut(up[1], down[3](at_6_mm), from_below=False)
    x_6_mm = up[2](torch.cat([across[2](x_12_mm), at_6_mm], dim=1))
    x_3_mm = shortcut(up[3], torch.cat([across[3](x_6_mm), at_3_mm], dim=1))
    features = shortcut(up[4], across[4].conv(x_3_mm), from_side=False)
    return [features, x_6_mm, x_12_mm]


def shortcut(
    stage: torch.nn.Sequential, x: torch.Tensor, *, from_below: bool = True, from_side: bool = True
) -> torch.Tensor:
    """What a stage makes of x where nothing but its shortcut is left.

    Args:
        stage: of one block.
        x: what comes in; in the decoder, without the half that is left out.
        from_below: whether the half from the coarser stage is there.
        from_side: whether the half from the encoder is there.
    """
    layer = stage[0].conv3
    weight = layer.weight
    if not (from_below and from_side):
        below, side = weight.chunk(2, dim=1)
        weight = below if from_below else side
    return functional.leaky_relu(functional.conv3d(x, weight, layer.bias))


def pool_shares(shares: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    """Shares of the classes in coarser voxels."""
    return functional.adaptive_avg_pool3d(shares, level.shape[2:])


def segmentation_loss(logits: torch.Tensor, shares: torch.Tensor, rarity: torch.Tensor) -> torch.Tensor:
    """Cross entropy, in which rare classes count more, and soft Dice of the organs."""
    log_p = functional.log_softmax(logits, dim=1)
    p = log_p.exp()[:, 1:]
    both, sizes = (p * shares[:, 1:]).sum((0, 2, 3, 4)), (p + shares[:, 1:]).sum((0, 2, 3, 4))
    weights = shares * rarity.reshape(1, -1, 1, 1, 1)
    return -(weights * log_p).sum() / weights.sum() + 1 - ((2 * both + 1) / (sizes + 1)).mean()


@torch.no_grad()
def fill_head(network: STUNet, head: torch.nn.Conv3d) -> None:
    """Put the trained rows where the tool's label table has their organs."""
    weight, bias = network.seg_outputs[-1].weight, network.seg_outputs[-1].bias
    bias.fill_(NEVER)
    table = load_manifest(TOOL).variant("small").labels
    ids = {organ: i for i, organ in dict(table).items()}
    for row, place in enumerate([0, *(ids[organ] for organ in LABELS.values())]):
        weight[place], bias[place] = head.weight[row], head.bias[row]
    network.conv_blocks_localization[-1][0].conv3.weight[:, head.in_channels :] = 0  # not trained
    network.conv_blocks_localization[1][0].conv3.weight[:, : 8 * head.in_channels] = 0


@torch.no_grad()
def check(network: STUNet, lesson: Lesson) -> None:
    """See that the whole network computes what was trained."""
    coarse = lesson.image[None, None, :32, :32, :32]
    whole = network.features(functional.interpolate(coarse, scale_factor=2.0))
    coarse = functional.interpolate(coarse_features(network, coarse)[0], scale_factor=2.0)
    torch.testing.assert_close(whole, coarse, rtol=1e-4, atol=1e-4)


# --------------------------------------------------------------------------------------------------------------- files


def deepen(network: STUNet, depth: int) -> STUNet:
    """The network with more blocks a stage; a block of zeros hands on what comes, but for small negative values."""
    deep = STUNet(Shape(network.seg_outputs[-1].in_channels, depth, 105))
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
