"""Width and depth of a SAM, read from the shapes of its tensors."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

TOKENS = 64
"""Rows and columns of the image's embedding: 1024 pixels in patches of 16."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What differs between SAMs of different size; in brackets, MedSAM's.

    Attributes:
        encoder_width: of the image encoder's tokens (768).
        encoder_depth: its blocks (12).
        encoder_heads: attention heads of a block (12).
        window: side of the windows in which most blocks attend, in tokens (14).
        global_blocks: blocks that attend to the whole image (2, 5, 8, 11).
        prompt_width: of the embeddings of image and prompts (256).
        decoder_mlp_width: inside the mask decoder's blocks (2048).
        quality_width: inside the part that predicts a mask's quality (256).
    """

    encoder_width: int
    encoder_depth: int
    encoder_heads: int
    window: int
    global_blocks: tuple[int, ...]
    prompt_width: int
    decoder_mlp_width: int
    quality_width: int


def read_shape(tensors: Mapping[str, torch.Tensor]) -> Shape:
    """Read the shape of a SAM from its state dict.

    A block's table of relative positions has 2n - 1 rows for a side of n tokens, and as many columns as a head is wide,
    which gives the window of the block and the number of heads.

    Raises:
        KeyError: a tensor that is needed for this is missing.
    """
    depth = len({name.split(".")[2] for name in tensors if name.startswith("image_encoder.blocks.")})
    tables = [tensors[f"image_encoder.blocks.{block}.attn.rel_pos_h"] for block in range(depth)]
    sides = [(len(table) + 1) // 2 for table in tables]
    width = tensors["image_encoder.pos_embed"].shape[-1]
    return Shape(
        encoder_width=width,
        encoder_depth=depth,
        encoder_heads=width // tensors["image_encoder.blocks.0.attn.rel_pos_h"].shape[-1],
        window=min(sides),
        global_blocks=tuple(block for block, side in enumerate(sides) if side == TOKENS),
        prompt_width=tensors["image_encoder.neck.0.weight"].shape[0],
        decoder_mlp_width=tensors["mask_decoder.transformer.layers.0.mlp.lin1.weight"].shape[0],
        quality_width=tensors["mask_decoder.iou_prediction_head.layers.0.weight"].shape[0],
    )
