"""Sliding windows over an image, stripe by stripe: the scores of the whole image never lie in memory at once.

    windows with the same place along the first axis ──► one stripe of weighted scores, as thick as a window
    planes that no later window touches              ──► labels on the image's own voxels; then dropped

With 15 classes the scores of a 512 x 512 x 300 image take 4.7 GB; a stripe of 128 planes takes 1.2.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynunet_trainer.kernels import add_window, divide_planes
from dynunet_trainer.plan import Triple
from dynunet_trainer.resample import LinearAxis, linear_axis, write_highest_channels

Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(X, Y, Z) normalised window -> (C, X, Y, Z) scores."""
SIGMA = 1 / 8
"""Of the Gaussian that weighs a window, as a share of its side; nnU-Net's and MONAI's."""


def predict_labels(
    image: NDArray[np.float32], window: Triple, overlap: float, shape: Triple, predict: Predict, *, air: float
) -> NDArray[np.uint8]:
    """Label an image by windows, on the voxels of another grid that covers the same box.

    Args:
        image: (X, Y, Z) normalised.
        window: voxels; where the image is smaller, air is put around it.
        overlap: smallest share of a window that the next one covers too; windows lie evenly.
        shape: of the result.
        predict: the network.
        air: normalised value of air.

    Returns:
        (x, y, z) channel with the highest interpolated score; the lowest of equals.
    """
    axis = _stripe_axis(image.shape, window)
    order = [axis, *(a for a in range(3) if a != axis)]
    transposed = image.transpose(order)
    sizes, target = _reorder(window, order), _reorder(shape, order)
    padded, inside = _pad_with_air(transposed, sizes, air)
    result = np.empty(target, np.uint8)
    inverse_order = np.argsort(order).tolist()

    def predict_transposed(part: NDArray[np.float32]) -> NDArray[np.float32]:
        return predict(np.ascontiguousarray(part.transpose(inverse_order))).transpose(0, *(o + 1 for o in order))

    planes = _finished_planes(padded, sizes, overlap, AirCache(predict_transposed, air))
    _Exporter(result, inside, transposed.shape).fill(planes)
    return np.ascontiguousarray(result.transpose(inverse_order))


@dataclass(slots=True)
class AirCache:
    """Predicts windows. All windows that hold only air have the same scores, which are computed once.

    Attributes:
        predict: the network.
        air: normalised value of air.
    """

    predict: Predict
    air: float
    _air_scores: NDArray[np.float32] | None = None

    def __call__(self, part: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores of a window."""
        is_air = bool((part == np.float32(self.air)).all())
        if is_air and self._air_scores is not None:
            return self._air_scores
        scores = self.predict(part)
        if is_air:
            self._air_scores = scores
        return scores


def window_starts(size: int, window: int, overlap: float) -> list[int]:
    """First voxels of windows along an axis: as few as the overlap allows, spread evenly from end to end."""
    room = size - window
    count = int(np.ceil(room / (window * (1 - overlap)))) + 1 if room > 0 else 1
    return [round(room * i / max(count - 1, 1)) for i in range(count)]


def _finished_planes(
    image: NDArray[np.float32], window: Triple, overlap: float, predict: Predict
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield (first plane, (C, planes, Y, Z) mean scores) of each range of planes that is finished, in order.

    Ranges share a plane: each begins with the last one of the range before, so that the caller can interpolate between
    them. The array is reused for the next range.
    """
    starts = [window_starts(n, w, overlap) for n, w in zip(image.shape, window, strict=True)]
    weights = (_gaussian(window[0]), _gaussian(window[1]), _gaussian(window[2]))
    totals = [_sum_weights(weight, first, n) for weight, first, n in zip(weights, starts, image.shape, strict=True)]
    stripe = np.zeros((0, window[0] + 1, *image.shape[1:]), np.float32)  # plane 0 is the one before this stripe
    for start, next_start in zip(starts[0], [*starts[0][1:], None], strict=True):
        for y, z in product(starts[1], starts[2]):
            scores = predict(image[start : start + window[0], y : y + window[1], z : z + window[2]])
            if not stripe.size:
                stripe = np.zeros((scores.shape[0], *stripe.shape[1:]), np.float32)
            add_window(scores, weights, (1, y, z), stripe)
        done = window[0] if next_start is None else next_start - start
        divide_planes(stripe[:, 1 : done + 1], (totals[0][start : start + done], totals[1], totals[2]))
        yield (start - 1, stripe[:, : done + 1]) if start else (start, stripe[:, 1 : done + 1])
        for plane in range(window[0] + 1 - done):  # unfinished planes move to the front, one by one
            stripe[:, plane] = stripe[:, plane + done]
        stripe[:, window[0] + 1 - done :] = 0


def _sum_weights(weight: NDArray[np.float32], starts: Sequence[int], size: int) -> NDArray[np.float32]:
    """Sum of the weights of all windows along an axis."""
    total = np.zeros(size, np.float32)
    for start in starts:
        total[start : start + weight.size] += weight
    return total


@dataclass(frozen=True, slots=True)
class _Exporter:
    """Turns finished planes into planes of the result.

    Attributes:
        result: (x, y, z) is filled.
        inside: where the image lies in the padded image.
        shape: of the image.
    """

    result: NDArray[np.uint8]
    inside: tuple[slice, ...]
    shape: tuple[int, ...]

    def fill(self, finished: Iterator[tuple[int, NDArray[np.float32]]]) -> None:
        """Fill the result."""
        axes = [linear_axis(n, out) for n, out in zip(self.shape, self.result.shape, strict=True)]
        filled = 0
        for start, planes in finished:
            first, scores = self._without_padding(start, planes)
            if not scores.size:
                continue
            last = first + scores.shape[1] - 1
            ready = int(np.searchsorted(axes[0].high, last, side="right"))
            if ready > filled:
                ready_axis = LinearAxis(axes[0].low[filled:ready] - first, axes[0].high, axes[0].weight[filled:ready])
                write_highest_channels(scores, [ready_axis, axes[1], axes[2]], self.result[filled:ready])
                filled = ready

    def _without_padding(self, start: int, planes: NDArray[np.float32]) -> tuple[int, NDArray[np.float32]]:
        edge = self.inside[0]
        first, end = max(start, edge.start), max(min(start + planes.shape[1], edge.stop), edge.start)
        return first - edge.start, planes[:, first - start : end - start, self.inside[1], self.inside[2]]


def _stripe_axis(shape: tuple[int, ...], window: Triple) -> int:
    """The axis along which a stripe is smallest."""
    return int(np.argmin([window[a] / max(shape[a], window[a]) for a in range(3)]))


def _reorder(sizes: Triple, order: list[int]) -> Triple:
    x, y, z = (sizes[o] for o in order)
    return (x, y, z)


def _pad_with_air(
    image: NDArray[np.float32], window: Triple, air: float
) -> tuple[NDArray[np.float32], tuple[slice, ...]]:
    """Put air around an image that is smaller than a window; also give its place in the result."""
    missing = [max(w - n, 0) for w, n in zip(window, image.shape, strict=True)]
    inside = tuple(slice(m // 2, m // 2 + n) for m, n in zip(missing, image.shape, strict=True))
    if not any(missing):
        return image, inside
    return np.pad(image, [(m // 2, m - m // 2) for m in missing], constant_values=np.float32(air)), inside


def _gaussian(count: int) -> NDArray[np.float32]:
    """Weights along one side of a window: largest in the middle, never zero."""
    return np.asarray(np.exp(-0.5 * ((np.arange(count) - (count - 1) / 2) / (count * SIGMA)) ** 2), np.float32)


def make_predict(network: torch.nn.Module, device: torch.device) -> Predict:
    """Make a function that gives a network's scores of one window."""

    @torch.inference_mode()
    def predict(part: NDArray[np.float32]) -> NDArray[np.float32]:
        scores: Tensor = network(torch.from_numpy(part)[None, None].to(device))
        windows: NDArray[np.float32] = scores[0].float().cpu().numpy()
        return windows

    return predict
