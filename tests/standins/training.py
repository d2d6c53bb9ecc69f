"""Small networks learn the phantom's organs: what the builders of stand-ins for nnU-Net's trained weights share."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from contract.datasets import case_names
from contract.grids import Grid
from contract.volumes import read_image, read_labels
from coordinator.datasets.anatomy import LABELS
from coordinator.datasets.phantom import make_phantom

CASES = {24: (96, 80, 24), 12: (96, 80, 16)}
"""How many phantoms of which shape are learnt from; those of the tests have another seed."""
SEED = 20251
INTENSITIES = {"mean": 50.0, "std": 100.0, "percentile_00_5": -250.0, "percentile_99_5": 450.0}
"""HU that nnU-Net clips at, subtracts and divides by."""
NEVER = -30.0
"""Score of an output that was not trained."""

Resample = Callable[[NDArray[np.generic], Grid, int], NDArray[np.generic]]
"""(X, Y, Z) voxels, their grid, order of the splines -> voxels at the network's spacing."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A phantom as a network sees it.

    Attributes:
        image: (Z, Y, X) normalised HU.
        target: (Z, Y, X) output of the network that is right.
    """

    image: NDArray[np.float32]
    target: NDArray[np.int64]


def make_examples(scratch: Path, organs: list[str], resample: Resample, image_order: int) -> list[Example]:
    """Phantoms, resampled as the tool does and normalised as nnU-Net does."""
    ids = {organ: i for i, organ in LABELS.items()}
    lut = np.zeros(max(LABELS) + 1, np.int64)
    lut[[ids[organ] for organ in organs]] = range(1, len(organs) + 1)
    examples = []
    for cases, shape in CASES.items():
        folder = scratch / f"slices{shape[2]}"
        make_phantom(folder, cases=cases, seed=SEED, shape=shape)
        for case in case_names(folder / "images"):
            image = read_image(folder / "images" / f"{case}.nii.gz")
            labels = read_labels(folder / "labels" / f"{case}.nii.gz", image)
            hu = resample(image.array, image.grid, image_order)
            right = resample(labels, image.grid, 0)
            hu = np.clip(hu, INTENSITIES["percentile_00_5"], INTENSITIES["percentile_99_5"])
            normal = (hu - INTENSITIES["mean"]) / INTENSITIES["std"]
            examples.append(Example(normal.T.astype(np.float32), lut[right.T.astype(np.int64)]))
    return examples


def train(
    network: torch.nn.Module, examples: list[Example], patch: tuple[int, int, int], steps: int, seed: int
) -> None:
    """Train on random patches.

    Args:
        network: with one output for each organ of the examples, and background.
        examples: what is learnt.
        patch: (z, y, x) voxels.
        steps: one patch each.
        seed: of the patches.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps, pct_start=0.15)
    network.train()
    for step, (image, target) in enumerate(_patches(examples, patch, steps, np.random.default_rng(seed)), 1):
        scores = network(image)
        loss = functional.cross_entropy(scores, target) + _dice_loss(scores, target)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            print(f"  step {step}: loss {loss.item():.3f}", flush=True)  # noqa: T201


def widen(
    small: Mapping[str, torch.Tensor], large: dict[str, torch.Tensor], trained: list[int]
) -> dict[str, torch.Tensor]:
    """Put the trained outputs at their places among all classes; the others never win."""
    for key, tensor in large.items():
        if ".seg_layers." in key:
            tensor.fill_(NEVER if key.endswith("bias") else 0.0)
            tensor[[0, *trained]] = small[key]
        else:
            tensor.copy_(small[key])
    return large


def _dice_loss(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean over the organs of 1 - soft Dice; (1, C, Z, Y, X) scores, (1, Z, Y, X) target."""
    soft = scores.softmax(1)[0, 1:].flatten(1)
    right = functional.one_hot(target[0], scores.shape[1]).permute(3, 0, 1, 2)[1:].flatten(1).float()
    return (1 - (2 * (soft * right).sum(1) + 1) / (soft.sum(1) + right.sum(1) + 1)).mean()


def _patches(
    examples: list[Example], patch: tuple[int, int, int], steps: int, random: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Random patches, half of them around an organ, a little brighter or darker; padded with 0, as nnU-Net does."""
    for _ in range(steps):
        example = examples[random.integers(len(examples))]
        missing = [max(0, p - n) for p, n in zip(patch, example.image.shape, strict=True)]
        margins = [(m // 2, m - m // 2) for m in missing]
        image = np.pad(example.image * random.normal(1, 0.03) + random.normal(0, 0.05), margins)
        target = np.pad(example.target, margins)
        start = random.integers(np.subtract(image.shape, patch) + 1)
        if random.random() < 0.5:
            start = _around_an_organ(target, patch, random)
        cut = tuple(slice(s, s + p) for s, p in zip(start, patch, strict=True))
        yield torch.from_numpy(image[None, None][:, :, *cut].astype(np.float32)), torch.from_numpy(target[None, *cut])


def _around_an_organ(
    target: NDArray[np.int64], patch: tuple[int, int, int], random: np.random.Generator
) -> NDArray[np.int64]:
    """First voxel of a patch whose middle is a voxel of a random organ, moved as far as needed to lie inside."""
    voxels = np.argwhere(target == random.choice(np.unique(target[target > 0])))
    middle = voxels[random.integers(len(voxels))]
    return np.clip(middle - np.array(patch) // 2, 0, np.subtract(target.shape, patch))
