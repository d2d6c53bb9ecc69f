"""Batches that depend only on their number: not on what was drawn before, nor on the process that draws them.

nnU-Net's loader draws case, patch and augmentation from global generators. Here they are seeded anew for each batch, by
seed, fold, purpose and the batch's number. So a training that goes on from a checkpoint, or whose batches are
made by several processes, sees the same batches as an undisturbed one in a single process.
"""

import signal
from collections.abc import Iterator
from typing import Any

from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.random import RandomTransform
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from torch.utils.data import DataLoader, Dataset

from nnunet_tool.environment import seed_all

Batch = dict[str, Any]
"""data (B, 1, …) float32, target (B, 1, …) or a list of them, keys: the cases that were loaded for it, (B,)."""


class NumberedBatches(Dataset[Batch]):
    """Batch `number` of an nnU-Net loader."""

    def __init__(self, loader: nnUNetDataLoader, key: tuple[object, ...]) -> None:
        self.loader = loader
        self.key = key

    def __getitem__(self, number: int) -> Batch:
        """Draw the batch."""
        seed_all(*self.key, number)
        batch: Batch = next(self.loader)
        return batch


def batches(
    loader: nnUNetDataLoader, key: tuple[object, ...], numbers: range, workers: int, *, pinned: bool
) -> Iterator[Batch]:
    """Draw batches in order.

    Args:
        loader: nnU-Net's.
        key: seeds them together with their numbers.
        numbers: which batches.
        workers: processes that draw; 0 draws here. The batches are the same.
        pinned: whether they go to a GPU.
    """
    _blur_by_one_method(loader.transforms)
    return iter(
        DataLoader(
            NumberedBatches(loader, key), batch_size=None, sampler=numbers, num_workers=workers, collate_fn=_unchanged,
            worker_init_fn=_end_on_sigterm, multiprocessing_context="fork" if workers else None, pin_memory=pinned,
        )
    )  # fmt: skip


def _unchanged(batch: Batch) -> Batch:
    return batch


def _end_on_sigterm(worker: int) -> None:
    """End without a traceback, which the handler that a worker inherits from the tool would print."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _blur_by_one_method(transform: object) -> None:
    """Turn off nnU-Net's choice between convolution and FFT by their speed: the result would depend on the clock."""
    if isinstance(transform, ComposeTransforms):
        for part in transform.transforms:
            _blur_by_one_method(part)
    elif isinstance(transform, RandomTransform):
        _blur_by_one_method(transform.transform)
    elif isinstance(transform, GaussianBlurTransform):
        transform.benchmark = False
