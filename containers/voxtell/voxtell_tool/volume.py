"""Segment a case: an image as VoxTell was trained on it, logits of each organ, joined to a label map."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from contract import Case, CaseError, LabelMap, UsageError
from voxtell_tool.network import Network
from voxtell_tool.tiles import half_precision, predict_tiles

AT_ONCE = 16
"""Organs that are predicted together: each takes a volume of float32. An organ's logits depend on no other prompt."""
LEAST_DEVIATION = 1e-8

Box = tuple[slice, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """What stays in memory from case to case.

    Attributes:
        network: VoxTell's.
        labels: label id of each organ, ascending.
        embeddings: (N, D) of the organs' prompts, in the same order.
    """

    network: Network
    labels: tuple[int, ...]
    embeddings: torch.Tensor


def stack_embeddings(network: Network, bank: Mapping[str, NDArray[np.generic]], prompts: Iterable[str]) -> torch.Tensor:
    """(N, D) float32 embeddings of prompts.

    Raises:
        UsageError: the network takes embeddings of another length.
    """
    embeddings = torch.from_numpy(np.stack([bank[prompt] for prompt in prompts]).astype(np.float32))
    if embeddings.shape[1] != network.embedding:
        raise UsageError(
            f"text_embeddings.npz: embeddings must have {network.embedding} numbers for this network, but have "
            f"{embeddings.shape[1]}; fetch embeddings and checkpoint of one version"
        )
    return embeddings


def segment_volume(model: Model, case: Case) -> LabelMap:
    """Segment the organs, and join what was found.

    The network was trained on volumes in the axes (S, A, R), which nnU-Net's reader makes of any orientation: RAS+
    the other way round.

    Returns:
        (X, Y, Z) label map on the image's voxels.

    Raises:
        CaseError: all voxels are the same.
    """
    image = case.image.array.T
    if image.min() == image.max():
        raise CaseError(f"{case.name}: image must show something, but all voxels are {image.min()}")
    box = nonzero_box(image)
    scores = z_scores(image[box])
    merger = LabelMerger(scores.shape, max(model.labels))
    for first in range(0, len(model.labels), AT_ONCE):
        group = slice(first, first + AT_ONCE)
        logits = _predict(model.network, scores, model.embeddings[group])
        for label, organ in zip(model.labels[group], logits.numpy(), strict=True):
            merger.add(label, organ)
    result = np.zeros(image.shape, merger.labels.dtype)
    result[box] = merger.labels
    return result.T


def _predict(network: Network, scores: NDArray[np.float32], embeddings: torch.Tensor) -> torch.Tensor:
    """(N, Z, Y, X) logits of N prompts."""
    prompts = embeddings[None].to(network.device)

    def predict(tile: torch.Tensor) -> torch.Tensor:
        with half_precision(network.device):
            logits: torch.Tensor = network.module(tile.to(network.device), prompts)[0]
        return logits.float().cpu()

    return predict_tiles(predict, scores, network.patch, len(embeddings))


def nonzero_box(image: NDArray[np.generic]) -> Box:
    """The smallest box that holds all voxels of (Z, Y, X) that are not 0."""
    ranges = (np.flatnonzero((image != 0).any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1)))
    return tuple(slice(int(found[0]), int(found[-1]) + 1) for found in ranges)


def z_scores(image: NDArray[np.generic]) -> NDArray[np.float32]:
    """(Z, Y, X) HU less their mean, in standard deviations of the whole box."""
    hu = np.array(image, dtype=np.float32)
    hu -= hu.mean()
    hu /= max(hu.std(), LEAST_DEVIATION)
    return hu


class LabelMerger:
    """Joins organs: a voxel gets the most probable one, above a half; the lower label id where two are equal.

    Attributes:
        labels: (Z, Y, X) label ids so far; 0 at first.
        logits: (Z, Y, X) float32 logit of that label; 0, which is a half, at first.
    """

    def __init__(self, shape: tuple[int, ...], highest: int) -> None:
        self.labels = np.zeros(shape, dtype=np.uint8 if highest <= np.iinfo(np.uint8).max else np.uint16)
        self.logits = np.zeros(shape, dtype=np.float32)

    def add(self, label: int, logits: NDArray[np.float32]) -> None:
        """Add the (Z, Y, X) logits of a label; labels come in the order of their ids."""
        won = logits > self.logits
        self.labels[won] = label
        self.logits[won] = logits[won]
