"""Checkpoints hold numbers and names; a pickle could hold a program as well. Here it is refused.

nnU-Net reads a checkpoint with `torch.load(weights_only=False)`, which runs whatever a file asks for. PyTorch has a
variable that overrules its callers; beside tensors it lets through only the types named below, which nnU-Net's training
leaves in its log (scores as numpy numbers).
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

FORCED = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
_scalar: Any = np._core.multiarray.scalar  # type: ignore[attr-defined]
_array: Any = np._core.multiarray._reconstruct  # type: ignore[attr-defined]
PLAIN: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    _scalar,
    (_scalar, "numpy.core.multiarray.scalar"),  # as numpy 1 wrote it
    _array,
    (_array, "numpy.core.multiarray._reconstruct"),
    np.ndarray,
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("bool", "int32", "int64", "float16", "float32", "float64")),
]
"""Makers of numpy numbers and arrays, under the names that numpy 1 and 2 write."""


@contextmanager
def plain_data_only() -> Iterator[None]:
    """Inside, `torch.load` reads tensors and plain data only, whatever its caller asks for.

    It raises `pickle.UnpicklingError`, which names what a file holds besides.
    """
    before = os.environ.get(FORCED)
    os.environ[FORCED] = "1"
    try:
        with torch.serialization.safe_globals(PLAIN):
            yield
    finally:
        del os.environ[FORCED]
        if before is not None:
            os.environ[FORCED] = before
