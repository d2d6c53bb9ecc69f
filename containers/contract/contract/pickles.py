"""Files of weights are pickles, and a pickle can be a program: here only tensors, numbers and names are read from one.

    with plain_data_only(file, torch.serialization.safe_globals, "fetch the weights again"):
        content = torch.load(file, map_location="cpu")

The same holds for a library that calls `torch.load(weights_only=False)` inside. Torch itself is never imported here.
"""

import io
import os
import pickle
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from contract.errors import CaseError, UsageError

FORCED, FORBIDDEN = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
"""PyTorch's variables that overrule its callers."""
_scalar: Any = np._core.multiarray.scalar  # type: ignore[attr-defined]
_array: Any = np._core.multiarray._reconstruct  # type: ignore[attr-defined]
PLAIN: list[Any] = [
    _scalar,
    (_scalar, "numpy.core.multiarray.scalar"),  # as numpy 1 wrote it
    _array,
    (_array, "numpy.core.multiarray._reconstruct"),
    np.ndarray,
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("bool", "int32", "int64", "float16", "float32", "float64")),
]
"""Makers of numpy numbers and arrays, under the names that numpy 1 and 2 write: nnU-Net's trainings leave them in
their logs."""

Allow = Callable[[list[Any]], AbstractContextManager[None]]
"""`torch.serialization.safe_globals`."""


@contextmanager
def plain_data_only(file: Path, allow: Allow, advice: str) -> Iterator[None]:
    """Inside, `torch.load` reads tensors and plain data only, whatever its caller asks for.

    Args:
        file: what is read, for the message.
        allow: torch.serialization.safe_globals.
        advice: what to do about a file that can't be read.

    Raises:
        UsageError: anything went wrong inside: the file is damaged, no file of weights, or holds a program.
    """
    before = {name: os.environ.pop(name, None) for name in (FORCED, FORBIDDEN)}
    os.environ[FORCED] = "1"
    try:
        with allow(PLAIN):
            yield
    except (UsageError, CaseError):
        raise
    except Exception as error:  # pickle, zip and torch raise all kinds of them for a file that is not what it should be
        raise UsageError(
            f"{file}: must be a whole file of tensors, numbers and names alone, but: {_reason(error)}; {advice}"
        ) from error
    finally:
        del os.environ[FORCED]
        os.environ.update({name: value for name, value in before.items() if value is not None})


def load_plain_pickle(file: Path, advice: str) -> Any:  # noqa: ANN401 - whatever it holds
    """Read a pickle of numbers, names, numpy arrays and containers of them; nothing that it holds is run.

    Args:
        file: the pickle.
        advice: what to do about a file that can't be read.

    Raises:
        UsageError: it is missing or damaged, or holds anything else.
    """
    try:
        return _PlainUnpickler(io.BytesIO(file.read_bytes())).load()
    except Exception as error:  # a damaged pickle raises all kinds of them
        raise UsageError(
            f"{file}: must be a whole pickle of numbers, names and arrays alone, but: {_reason(error)}; {advice}"
        ) from error


class _PlainUnpickler(pickle.Unpickler):
    """Finds the makers of numpy's numbers and arrays, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        """Return the maker of this name.

        Raises:
            UnpicklingError: it is none of these.
        """
        for maker in (entry for entry in PLAIN if not isinstance(entry, tuple)):
            if name == maker.__name__ and module.replace("numpy.core", "numpy._core") == maker.__module__:
                return maker
        raise pickle.UnpicklingError(f"GLOBAL {module}.{name}")


def _reason(error: Exception) -> str:
    """One line of an error's message, with its type where it says little alone."""
    if isinstance(error, MemoryError):
        return "it asks for more memory than there is"
    text = str(error).strip()
    if name := re.search(r"GLOBAL ([\w.]+)", text):
        return f"it holds {name[1]}, which could be a program"
    if reason := re.search(r"WeightsUnpickler error: *([^\n]+)", text):  # what comes before it is torch's advice
        text = reason[1]
    line = text.partition("\n")[0][:200].rstrip(" .")
    return (
        line if line and isinstance(error, pickle.UnpicklingError | RuntimeError) else f"{type(error).__name__} {line}"
    )
