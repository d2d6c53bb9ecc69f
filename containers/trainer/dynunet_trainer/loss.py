"""Dice and cross entropy at full resolution and at each head, without operations that CUDA does in random order.

MONAI's DynUNet tutorial enlarges each head to full size by repeating voxels and compares it with the full labels. Here
each head keeps its own size and is compared with the share that each class has of each of its (larger) voxels. The loss
is the same for a fraction of the work: scores are constant within such a voxel, so sums over its small voxels are
multiples.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

SMOOTH = 1e-5
"""MONAI's; a class that neither occurs nor is predicted costs nothing."""


def deep_supervision_loss(outputs: Sequence[Tensor], labels: Tensor) -> Tensor:
    """Sum over outputs of 0.5^i times Dice plus cross entropy, full resolution first.

    Args:
        outputs: (B, C, x, y, z) scores, each axis of the labels' size divided by a whole number.
        labels: (B, X, Y, Z) integer classes below C.

    Returns:
        Scalar.
    """
    classes = torch.arange(outputs[0].shape[1], dtype=labels.dtype, device=labels.device).view(1, -1, 1, 1, 1)
    shares = (labels[:, None] == classes).to(outputs[0].dtype)
    losses = []
    for i, scores in enumerate(outputs):
        shares = _block_mean(shares, scores)  # from one resolution to the next: exact, since blocks are powers of two
        losses.append(0.5**i * _dice_cross_entropy(scores, shares, labels.numel() / scores[:, 0].numel()))
    return torch.stack(losses).sum()


def _dice_cross_entropy(scores: Tensor, shares: Tensor, voxels: float) -> Tensor:
    """Dice loss (mean over patches and classes, background included) plus cross entropy (mean over voxels).

    Args:
        scores: (B, C, x, y, z).
        shares: (B, C, x, y, z) share of each class in each voxel; one-hot at full resolution.
        voxels: of full resolution in one voxel of the scores.
    """
    log_probabilities = torch.log_softmax(scores, dim=1)
    probabilities = log_probabilities.exp()
    cross_entropy = -(shares * log_probabilities).sum(dim=1).mean()
    overlap = (shares * probabilities).sum(dim=(2, 3, 4))
    total = probabilities.sum(dim=(2, 3, 4)) + shares.sum(dim=(2, 3, 4))
    smooth = SMOOTH / voxels
    return (1 - (2 * overlap + smooth) / (total + smooth)).mean() + cross_entropy


def _block_mean(shares: Tensor, scores: Tensor) -> Tensor:
    """Average over the blocks of voxels that one voxel of the scores covers."""
    if shares.shape == scores.shape:
        return shares
    blocks = [full // own for full, own in zip(shares.shape[2:], scores.shape[2:], strict=True)]
    return functional.avg_pool3d(shares, blocks)
