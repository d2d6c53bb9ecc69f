"""A network that is prompted with boxes: the steps that all flavours share.

pictures ── network_input ──► image encoder ──► embedding of each ──┐
                                                                    ├──► mask decoder ── probabilities ──► masks
boxes of each picture ──────► prompt encoder ───────────────────────┘

A flavour is a module with only what is different about it: `lite`, `vit_b`.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from medsam_tool.fit import Box, Fit

Picture = NDArray[np.uint8]
"""(rows, columns) grey values 0..255."""

BOXES_PER_PASS = 32
"""Boxes decoded at once; a slice rarely has more. Bounds the memory (about 25 MB a box) for labels full of specks."""


class Flavour(Protocol):
    """What differs between the published networks."""

    WEIGHTS: str
    """`file` of the manifest."""
    CROP: Literal["body", "none"]
    """What `--crop auto` means."""

    def load(self, weights: Path) -> Any:  # noqa: ANN401 - each flavour has its own network class
        """A network with `image_encoder`, `prompt_encoder` and `mask_decoder`, on the CPU."""

    def fit(self, rows: int, columns: int) -> Fit:
        """Place a picture in the network's input."""

    def network_input(self, picture: Picture, fit: Fit) -> torch.Tensor:
        """(1, 3, side, side) float32 of a picture."""

    def probabilities(self, logits: torch.Tensor, fit: Fit) -> torch.Tensor:
        """(B, 1, rows, columns) on the picture's pixels, of (B, 1, 256, 256) logits."""


@dataclass(slots=True, eq=False)
class Segmenter:
    """A network, ready to predict.

    Attributes:
        network: of `Flavour.load`.
        flavour: of the network.
        device: where the network is.
        positions: (1, channels, 64, 64) encoding of each place in an embedding.
        passes: pictures that went through the image encoder so far.
    """

    network: Any
    flavour: Flavour
    device: torch.device
    positions: torch.Tensor
    passes: int = 0

    def __call__(self, pictures: Sequence[Picture], boxes: Sequence[Sequence[Box]]) -> Iterator[NDArray[np.float32]]:
        """Embed each picture once, all in one pass, then decode the boxes of one picture after the other.

        Args:
            pictures: at least one.
            boxes: of each picture at least one, in pixels of the network's input.

        Yields:
            (B, rows, columns) probabilities on the pixels of a picture, for its B boxes.
        """
        embeddings = self.embed(pictures)
        for picture, embedding, boxes_of_picture in zip(pictures, embeddings, boxes, strict=True):
            yield self._predict_masks(embedding[None], boxes_of_picture, self.flavour.fit(*picture.shape))

    @torch.inference_mode()
    def embed(self, pictures: Sequence[Picture]) -> torch.Tensor:
        """Embed N pictures: (N, channels, 64, 64). On a GPU in half precision where torch considers it safe."""
        inputs = torch.cat([self.flavour.network_input(p, self.flavour.fit(*p.shape)) for p in pictures])
        self.passes += len(inputs)
        with torch.autocast("cuda", torch.float16, enabled=self.device.type == "cuda"):
            embeddings: torch.Tensor = self.network.image_encoder(inputs.to(self.device))
        return embeddings.float()

    @torch.inference_mode()
    def logits(self, embedding: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        """Decode boxes as one batch.

        Args:
            embedding: (1, channels, 64, 64) of a picture.
            boxes: (B, 4) in pixels of the network's input.

        Returns:
            (B, 1, 256, 256); above 0 is inside.
        """
        sparse, dense = self.network.prompt_encoder(points=None, boxes=boxes[:, None, :], masks=None)
        masks, _ = self.network.mask_decoder(
            image_embeddings=embedding,
            image_pe=self.positions,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        return masks  # type: ignore[no-any-return]

    @torch.inference_mode()
    def _predict_masks(self, embedding: torch.Tensor, boxes: Sequence[Box], fit: Fit) -> NDArray[np.float32]:
        prompts = torch.tensor(boxes, dtype=torch.float32, device=self.device)
        parts = [
            self.flavour.probabilities(self.logits(embedding, part), fit) for part in prompts.split(BOXES_PER_PASS)
        ]
        return np.concatenate([part[:, 0].cpu().numpy() for part in parts])


def load_segmenter(flavour: Flavour, weights: Path, device: torch.device, threads: int) -> Segmenter:
    """Load a network that is ready to predict, and make torch deterministic.

    Args:
        flavour: of the network.
        weights: of the flavour.
        device: where to predict.
        threads: CPU threads, exactly.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic with it alone
    torch.set_deterministic_debug_mode("error")  # as use_deterministic_algorithms, which imports a compiler for 5 s
    torch.set_num_threads(threads)
    network = flavour.load(weights)
    with torch.no_grad():  # on the CPU: its running sum is not deterministic on a GPU
        positions = network.prompt_encoder.get_dense_pe()
    return Segmenter(network.to(device).eval(), flavour, device, positions.to(device))
