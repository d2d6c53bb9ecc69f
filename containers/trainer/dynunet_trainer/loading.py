"""Batches made ahead of their use by threads, in order.

Threads, not processes: cropping, warping and most of NumPy release Python's lock, nothing is copied between processes,
and no shared memory is needed, of which Docker gives only 64 MB. The content of a batch depends only on its number, so
neither the number of threads nor their order of finishing changes a bit.
"""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

AHEAD = 2
"""Batches that each worker may be ahead; bounds the memory."""

Patch = tuple[NDArray[np.float32], NDArray[np.uint8]]


class Source(Protocol):
    """Numbered patches."""

    def patch(self, k: int) -> Patch:
        """Patch number k: image and channels."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """The patches of one training step.

    Attributes:
        images: (B, X, Y, Z) normalised.
        channels: (B, X, Y, Z).
        waited_s: how long the caller waited for it.
    """

    images: NDArray[np.float32]
    channels: NDArray[np.uint8]
    waited_s: float


def batches(source: Source, steps: range, size: int, workers: int) -> Iterator[Batch]:
    """Yield the batch of each step.

    Args:
        source: of patches; step s has the patches s * size to s * size + size - 1.
        steps: numbers of the steps.
        size: patches of a batch.
        workers: threads; 0 makes each patch when it is needed.
    """
    if workers == 0:
        for step in steps:
            started = time.monotonic()
            patches = [source.patch(k) for k in range(step * size, (step + 1) * size)]
            yield _stack_batch(patches, started)
        return
    ahead: deque[list[Future[Patch]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="loader") as pool:
        try:
            for step in steps:
                while len(ahead) < AHEAD * workers and (later_step := step + len(ahead)) in steps:
                    numbers = range(later_step * size, (later_step + 1) * size)
                    ahead.append([pool.submit(source.patch, k) for k in numbers])
                started = time.monotonic()
                yield _stack_batch([future.result() for future in ahead.popleft()], started)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _stack_batch(patches: list[Patch], started: float) -> Batch:
    images, channels = (np.stack(arrays) for arrays in zip(*patches, strict=True))
    return Batch(images, channels, time.monotonic() - started)
