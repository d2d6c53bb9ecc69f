"""Cross entropy without the operations that add in a random order on a GPU."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class DeterministicCrossEntropy(nn.Module):
    """The mean cross entropy of torch, up to rounding; torch's own is not deterministic on CUDA."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Mean cross entropy.

        Args:
            logits: (B, C, …).
            target: (B, …) class of each voxel.
        """
        classes = torch.arange(logits.shape[1], device=logits.device).view(1, -1, *[1] * (logits.ndim - 2))
        log_probabilities = functional.log_softmax(logits, dim=1)
        of_class = torch.where(target[:, None] == classes, log_probabilities, torch.zeros_like(log_probabilities))
        return -of_class.sum(dim=1).mean()
