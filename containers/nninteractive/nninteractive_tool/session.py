"""nnInteractive's own inference session: safely loaded, silent, deterministic."""

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from contract.pickles import plain_data_only
from contract.plans import refuse_programs
from nninteractive_tool.prompts import Mask, Prompt

ADVICE = "remove it and fetch the weights again"
SEED = 0
"""Of the random numbers that nnInteractive draws at a prompt."""


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
        UsageError: a file of the model is damaged, or holds more than numbers and names.
    """
    from nnInteractive.inference.inference_session import nnInteractiveInferenceSession

    refuse_programs(model / "plans.json", ADVICE)
    with silence_output():
        upstream = nnInteractiveInferenceSession(
            device=device, torch_n_threads=threads, do_autozoom=autozoom, enable_undo=False
        )
        with plain_data_only(model, torch.serialization.safe_globals, ADVICE):
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
