"""MedSAM as it was published, a fine-tuned SAM with the image encoder ViT-B: network and steps; a `Flavour`.

Steps and numbers are those of `MedSAM_Inference.py` in MedSAM's repository. They are not those of `SamPredictor`, which
keeps the aspect, pads, and normalises by the colours of photographs.

picture ── to 1024 x 1024, whatever its aspect ── whole grey values ── min-max to 0..1 ──► network
probabilities ◄── to the picture's size ◄── sigmoid ◄── logits
"""

from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.transform import resize
from torch.nn import functional

from medsam_tool import sam_modules
from medsam_tool.fit import Fit, fit_stretching
from medsam_tool.sam_shape import TOKENS, Shape, read_shape
from medsam_tool.tensors import fill_network, read_tensors, wrong_tensors

WEIGHTS = "medsam_vit_b.pth"
SIDE = 1024
CROP: Final = "none"
"""It was trained on whole slices, and its 1024 pixels show them finely enough."""


def fit(rows: int, columns: int) -> Fit:
    """Place a picture in the network's input: it fills all of it."""
    return fit_stretching(rows, columns, SIDE)


def network_input(picture: NDArray[np.uint8], fit: Fit) -> torch.Tensor:
    """Resize a picture with cubic splines, round its grey values down and scale them to 0..1.

    Returns:
        (1, 3, 1024, 1024) float32. A picture of one grey value is all 0.
    """
    large = resize(picture, fit.resized_shape, order=3, preserve_range=True, anti_aliasing=True).astype(np.uint8)
    lowest, highest = int(large.min()), int(large.max())
    scaled = (large - lowest) / max(highest - lowest, 1e-8)
    return torch.from_numpy(scaled.astype(np.float32))[None, None].repeat(1, 3, 1, 1)


def probabilities(logits: torch.Tensor, fit: Fit) -> torch.Tensor:
    """Probabilities on the picture's pixels, (B, 1, rows, columns), of (B, 1, 256, 256) logits."""
    size = (fit.rows, fit.columns)
    return functional.interpolate(torch.sigmoid(logits), size, mode="bilinear", align_corners=False)


def load(weights: Path) -> torch.nn.Module:
    """Build the network that a file's tensors belong to, and load them.

    Args:
        weights: a checkpoint with SAM's names. Only tensors are read: code in it is never run.

    Raises:
        UsageError: it does not hold the tensors of a SAM.
    """
    tensors = read_tensors(weights)
    try:
        network = build_network(read_shape(tensors))
    except Exception as error:  # shapes that no SAM has break its parts in all kinds of ways
        raise wrong_tensors(weights, "SAM", error) from error
    fill_network(network, tensors, weights, "SAM")
    return network


def build_network(shape: Shape) -> torch.nn.Module:
    """Build a SAM of a shape, with untrained weights."""
    sam = sam_modules.import_modeling()
    encoder = sam.ImageEncoderViT(
        img_size=SIDE, patch_size=SIDE // TOKENS, embed_dim=shape.encoder_width, depth=shape.encoder_depth,
        num_heads=shape.encoder_heads, norm_layer=partial(torch.nn.LayerNorm, eps=1e-6), use_rel_pos=True,
        window_size=shape.window, global_attn_indexes=shape.global_blocks, out_chans=shape.prompt_width,
    )  # fmt: skip
    prompts = sam.PromptEncoder(
        embed_dim=shape.prompt_width, image_embedding_size=(TOKENS, TOKENS), input_image_size=(SIDE, SIDE),
        mask_in_chans=16,
    )  # fmt: skip
    transformer = sam.TwoWayTransformer(
        depth=2, embedding_dim=shape.prompt_width, mlp_dim=shape.decoder_mlp_width, num_heads=8
    )
    decoder = sam.MaskDecoder(
        transformer_dim=shape.prompt_width, transformer=transformer, iou_head_hidden_dim=shape.quality_width
    )
    network: torch.nn.Module = sam.Sam(encoder, prompts, decoder)
    return network
