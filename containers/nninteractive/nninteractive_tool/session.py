"""nnInteractive's own inference session: safely loaded, silent, deterministic."""

import io
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from contract import UsageError
from nninteractive_tool.prompts import Mask, Prompt

FORCED = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
SEED = 0
"""Of the random numbers that nnInteractive draws at a prompt."""
_scalar: Any = np._core.multiarray.scalar  # type: ignore[attr-defined]
PLAIN: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    _scalar,
    (_scalar, "numpy.core.multiarray.scalar"),  # as numpy 1 wrote it
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("bool", "int32", "int64", "float32", "float64")),
]
"""Makers of numpy numbers, under the names that numpy 1 and 2 write: nnU-Net's training leaves them in its log."""


class Session:
    """A network that segments one object after the other in an image; used inside `silence_output`."""

    def __init__(self, upstream: Any) -> None:  # noqa: ANN401 - nnInteractive has no types
        self.upstream = upstream
        self.mask = torch.zeros(0, dtype=torch.uint8)

    def set_image(self, image: NDArray[np.generic]) -> None:
        """Set the image that the next prompts are in.

        Args:
            image: (Z, Y, X) HU, as it is: neither windowed nor resampled.
        """
        self.mask = torch.zeros(image.shape, dtype=torch.uint8)
        self.upstream.set_image(np.ascontiguousarray(image)[None])
        self.upstream.set_target_buffer(self.mask)

    def segment_prompt(self, prompt: Prompt) -> Mask:
        """Segment the object at one prompt; earlier prompts have no influence.

        Returns:
            (Z, Y, X) mask.
        """
        self.upstream.reset_interactions()
        with _fixed_random_numbers():
            if prompt.first == prompt.last:
                self.upstream.add_point_interaction(prompt.first, include_interaction=True)
            else:
                self.upstream.add_bbox_interaction(prompt.half_open, include_interaction=True)
        return np.asarray(self.mask.numpy() > 0)


def load_session(model: Path, device: torch.device, threads: int, *, autozoom: bool) -> Session:
    """Build the network of a model's folder and fill it with its weights.

    Args:
        model: folder with plans.json, dataset.json, inference_session_class.json and fold_0/checkpoint_final.pth.
        device: where to predict.
        threads: CPU threads.
        autozoom: enlarge the patch while a mask reaches its edge.

    Raises:
        UsageError: the checkpoint holds more than numbers and names.
    """
    from nnInteractive.inference.inference_session import nnInteractiveInferenceSession

    with silence_output():
        upstream = nnInteractiveInferenceSession(
            device=device, torch_n_threads=threads, do_autozoom=autozoom, enable_undo=False
        )
        with _plain_data_only(model):
            upstream.initialize_from_trained_model_folder(str(model), use_fold=0)
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False  # the session turns it on: other algorithms, other bits
    torch.backends.cudnn.deterministic = True
    upstream.network.eval()
    return Session(upstream)


@contextmanager
def silence_output() -> Iterator[None]:
    """Inside, nothing is printed: nnInteractive reports each of its steps, also from other threads."""
    with redirect_stdout(io.StringIO()):
        yield


@contextmanager
def _fixed_random_numbers() -> Iterator[None]:
    """Inside, numpy's global random numbers are the same each time; afterwards they go on as if none had been drawn.

    nnInteractive refines a mask in patches. Where its regular places leave voxels uncovered, it draws further ones from
    numpy's global generator, which it never seeds: the same prompt would give another mask each time.
    """
    before = np.random.get_state()
    np.random.seed(SEED)
    try:
        yield
    finally:
        np.random.set_state(before)


@contextmanager
def _plain_data_only(model: Path) -> Iterator[None]:
    """Inside, `torch.load` reads tensors and plain data only, though nnInteractive asks it to run what a file holds."""
    before = os.environ.get(FORCED)
    os.environ[FORCED] = "1"
    try:
        with torch.serialization.safe_globals(PLAIN):
            yield
    except pickle.UnpicklingError as error:
        reason = str(error).strip().partition("\n")[0]
        raise UsageError(f"{model}: checkpoint must hold numbers and names alone, but: {reason}") from None
    finally:
        del os.environ[FORCED]
        if before is not None:
            os.environ[FORCED] = before
