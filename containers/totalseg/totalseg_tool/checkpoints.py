"""Read checkpoints as numbers and names only. A pickle could hold a program as well; here that is refused.

nnU-Net reads a checkpoint with `torch.load(weights_only=False)`, which runs code that a file holds. PyTorch has an
environment variable that overrules its callers. Beside tensors, only the types below are allowed then: nnU-Net's
training leaves them in its log (scores as numpy numbers).
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
"""Constructors of numpy numbers and arrays, under the names that numpy 1 and 2 write."""


@contextmanager
def plain_data_only() -> Iterator[None]:
    """Let `torch.load` read only tensors and plain data, whatever its caller asks for.

    For anything else it raises `pickle.UnpicklingError`, which names the type.
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
