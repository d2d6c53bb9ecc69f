"""The network on a whole volume: the weighted softmax of all tiles, summed, and yielded as soon as it is final."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray

from stunet_tool.network import STUNet
from stunet_tool.tiles import Box, Index, Tiling, intersection, make_tiling, shift_box, tile_weights

LEAST = 1e-7
"""A class whose probability stays below this in a block is left out there: it would change a sum by no more than
rounding does, and few of a hundred classes are near any place."""


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """A network and how it is applied.

    Attributes:
        network: in evaluation mode, on the device.
        device: where it computes; sums are kept in main memory.
        patch: voxels along each side of a tile.
        step: largest step from tile to tile, as a share of the patch.
        mirroring: average over all mirror images of a tile.
    """

    network: STUNet
    device: torch.device
    patch: int = 128
    step: float = 0.5
    mirroring: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Sums of the tiles so far in one block.

    Attributes:
        weights: (z, y, x) sum of weights.
        probabilities: class -> (z, y, x) sum of weight times softmax; 0 for a class that is not there.
    """

    weights: torch.Tensor
    probabilities: dict[int, torch.Tensor] = field(default_factory=dict)

    def add(self, label: int, part: torch.Tensor) -> None:
        """Add one tile's share of a class; a copy of it is kept."""
        if label in self.probabilities:
            self.probabilities[label].add_(part)
        else:
            self.probabilities[label] = part.clone()


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A part of the volume whose probabilities are final.

    Attributes:
        box: the part, in voxels of the volume.
        kept: the same part in `blocks`, which may hold padding as well.
        blocks: box in the piece, and its sums.
    """

    box: Box
    kept: Box
    blocks: list[tuple[Box, Sums]]

    def probability(self, label: int) -> NDArray[np.float32]:
        """(z, y, x) mean probability of one class."""
        probability = np.empty([max(box[axis].stop for box, _ in self.blocks) for axis in range(3)], np.float32)
        for box, sums in self.blocks:
            if label in sums.probabilities:
                np.divide(sums.probabilities[label].numpy(), sums.weights.numpy(), out=probability[box])
            else:
                probability[box] = 0
        return probability[self.kept]


@torch.inference_mode()
def predict_pieces(predictor: Predictor, image: NDArray[np.float32]) -> Iterator[Piece]:
    """Predict a volume.

    Args:
        predictor: the network.
        image: (z, y, x) normalised; padded to at least a tile with 0, its mean.

    Yields:
        Pieces that make up the volume, the longest axis slowest.
    """
    layout = make_tiling(image.shape, predictor.patch, predictor.step)
    padded = torch.from_numpy(np.pad(image, layout.padding))
    shape = (predictor.patch,) * 3
    weights = torch.from_numpy(tile_weights(predictor.patch)) if layout.count > 1 else torch.ones(shape)
    pending: dict[Index, Sums] = {}
    for tile in layout.tiles():
        window = layout.window(tile)
        blocks = list(layout.blocks(window))
        for block in blocks:
            _sums_of_block(pending, block).weights.add_(weights[shift_box(block, window)])
        for block, label, part in _weigh_probabilities(predictor, padded[window], weights, blocks, window):
            pending[_key(block)].add(label, part)
        yield _take_piece(layout, tile, pending)


def _weigh_probabilities(
    predictor: Predictor, tile: torch.Tensor, weights: torch.Tensor, blocks: list[Box], window: Box
) -> Iterator[tuple[Box, int, torch.Tensor]]:
    """Yield the weighted probability of each class in each block; all classes of a whole tile would be a gigabyte."""
    views = _mirror_axes() if predictor.mirroring else [()]
    weights = (weights / len(views)).to(predictor.device)
    x = tile.to(predictor.device)[None, None]
    for axes in views:
        with _autocast(predictor.device):
            features = predictor.network.features(x.flip(axes)).flip(axes)
        for block in blocks:
            part = shift_box(block, window)
            with _autocast(predictor.device):
                logits = predictor.network.head(features[(slice(None), slice(None), *part)])[0]
            probabilities = torch.softmax(logits.float(), dim=0)
            present = torch.nonzero(probabilities.amax(dim=(1, 2, 3)) >= LEAST).flatten()
            weighted = probabilities[present].mul_(weights[part]).cpu()
            yield from ((block, label, each) for label, each in zip(present.tolist(), weighted, strict=True))


def _mirror_axes() -> list[tuple[int, ...]]:
    """Axes of (1, channels, z, y, x) to flip: none, each, each pair, all."""
    return [axes for count in range(4) for axes in combinations((2, 3, 4), count)]


def _autocast(device: torch.device) -> AbstractContextManager[object]:
    """Half precision where upstream uses it: on GPUs."""
    return torch.autocast("cuda", dtype=torch.float16) if device.type == "cuda" else nullcontext()


def _sums_of_block(pending: dict[Index, Sums], block: Box) -> Sums:
    """The sums of a block; 0 at first."""
    key = _key(block)
    if key not in pending:
        pending[key] = Sums(torch.zeros([part.stop - part.start for part in block]))
    return pending[key]


def _take_piece(layout: Tiling, tile: Index, pending: dict[Index, Sums]) -> Piece:
    """Remove what became final with a tile from the sums, without the padding."""
    done = layout.finished(tile)
    kept = intersection(done, layout.volume)
    blocks = [(shift_box(block, done), pending.pop(_key(block))) for block in layout.blocks(done)]
    return Piece(shift_box(kept, layout.volume), shift_box(kept, done), blocks)


def _key(block: Box) -> Index:
    z, y, x = (part.start for part in block)
    return z, y, x
