"""A number to watch while training: Dice on a few fixed patches of held-out cases, against the reference labels.

It is logged and plotted, but nothing depends on it: no epoch is chosen by it, so held-out cases stay unseen.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dynunet_trainer.network import compute_outputs
from dynunet_trainer.sampling import Sampler
from dynunet_trainer.store import LabelStore, Store

SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class Validator:
    """Fixed patches, centred on foreground.

    Attributes:
        patches: normalised image and channels of each.
        classes: channels of the network.
    """

    patches: tuple[tuple[NDArray[np.float32], NDArray[np.uint8]], ...]
    classes: int

    @torch.no_grad()
    def dice(self, network: nn.Module, device: torch.device) -> float | None:
        """Mean Dice of the organs that occur in the patches, all patches taken together; None without any."""
        overlap, total = np.zeros(self.classes), np.zeros((2, self.classes))
        for image, channels in self.patches:
            scores = compute_outputs(network, torch.from_numpy(image)[None, None].to(device))[0]
            predicted = scores[0].argmax(dim=0).cpu().numpy()
            overlap += np.bincount(channels[predicted == channels].ravel(), minlength=self.classes)
            total[0] += np.bincount(channels.ravel(), minlength=self.classes)
            total[1] += np.bincount(predicted.ravel(), minlength=self.classes)
        present = np.flatnonzero(total[0][1:]) + 1
        if not present.size:
            return None
        return float(np.mean(2 * overlap[present] / total.sum(axis=0)[present]))


def make_validator(store: Store, reference: LabelStore, count: int) -> Validator:
    """Cut the patches.

    Args:
        store: with held-out cases, or without any.
        reference: the reference labels.
        count: of patches.
    """
    cases = tuple(case for case in store.holdout if case not in reference.missing)
    if not cases:
        return Validator((), len(reference.ids))
    sampler = Sampler(store, reference, cases, SEED, 1.0, reference, None)
    return Validator(tuple(sampler.patch(k) for k in range(count)), len(reference.ids))
