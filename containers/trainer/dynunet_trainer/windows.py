"""Sliding windows over an image, stripe by stripe, so that the scores of all classes never lie in memory together.

    windows with the same place along the first axis ──► one stripe of weighted scores, as thick as a window
    planes that no later window touches              ──► labels on the image's own voxels, and forgotten

With 15 classes the scores of a 512 x 512 x 300 image take 4.7 GB; a stripe of 128 planes takes 1.2.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynunet_trainer.kernels import export_planes
from dynunet_trainer.plan import Triple
from dynunet_trainer.resample import LinearAxis, linear_axis, stacked

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
        overlap: share of a window that the next one covers again, at least; windows lie evenly.
        shape: of the result.
        predict: the network.
        air: normalised value of air.

    Returns:
        (x, y, z) channel with the highest interpolated score; the lowest of equals.
    """
    axis = _stripe_axis(image.shape, window)
    order = [axis, *(other for other in range(3) if other != axis)]
    turned = image.transpose(order)
    sizes, target = _reordered(window, order), _reordered(shape, order)
    padded, inside = _padded(turned, sizes, air)
    result = np.empty(target, np.uint8)
    back = np.argsort(order).tolist()

    def scores_of(part: NDArray[np.float32]) -> NDArray[np.float32]:
        return predict(np.ascontiguousarray(part.transpose(back))).transpose(0, *(o + 1 for o in order))

    planes = _finished_planes(padded, sizes, overlap, AirOnce(scores_of, air))
    _Exporter(result, inside, turned.shape).take(planes)
    return np.ascontiguousarray(result.transpose(back))


@dataclass(slots=True)
class AirOnce:
    """Predicts windows; all windows of nothing but air have the same scores, which are computed once.

    Attributes:
        predict: the network.
        air: normalised value of air.
        computed: how many windows the network saw.
    """

    predict: Predict
    air: float
    computed: int = 0
    _of_air: NDArray[np.float32] | None = None

    def __call__(self, part: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores of a window."""
        is_air = bool((part == np.float32(self.air)).all())
        if is_air and self._of_air is not None:
            return self._of_air
        self.computed += 1
        scores = self.predict(part)
        if is_air:
            self._of_air = scores
        return scores


def window_starts(size: int, window: int, overlap: float) -> list[int]:
    """First voxels of windows along an axis: as few as the overlap allows, spread evenly from end to end."""
    room = size - window
    count = int(np.ceil(room / (window * (1 - overlap)))) + 1 if room > 0 else 1
    return [round(room * i / max(count - 1, 1)) for i in range(count)]


def _finished_planes(
    image: NDArray[np.float32], window: Triple, overlap: float, predict: Predict
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Give (first plane, (C, planes, Y, Z) mean scores) of each range of planes that is finished, in order."""
    starts = [window_starts(n, w, overlap) for n, w in zip(image.shape, window, strict=True)]
    weight = _gaussian(window)
    stripe = np.empty((0, *image.shape), np.float32)
    total = np.zeros((window[0], *image.shape[1:]), np.float32)
    for start, following in zip(starts[0], [*starts[0][1:], None], strict=True):
        for y in starts[1]:
            for z in starts[2]:
                place = np.s_[y : y + window[1], z : z + window[2]]
                scores = predict(image[start : start + window[0], place[0], place[1]])
                if not stripe.size:
                    stripe = np.zeros((scores.shape[0], *total.shape), np.float32)
                stripe[:, :, place[0], place[1]] += scores * weight
                total[:, place[0], place[1]] += weight
        done = window[0] if following is None else following - start
        yield start, stripe[:, :done] / total[:done]
        # What is left moves to the front; the rest of the stripe is new.
        for array, axis in ((stripe, 1), (total, 0)):
            rest = window[0] - done
            front, back = (np.s_[:, :rest], np.s_[:, done:]) if axis else (np.s_[:rest], np.s_[done:])
            array[front] = array[back].copy()
            array[np.s_[:, rest:] if axis else np.s_[rest:]] = 0


@dataclass(frozen=True, slots=True)
class _Exporter:
    """Turns finished planes into planes of the result.

    Attributes:
        result: (x, y, z) is filled.
        inside: where the image lies in the padded one.
        shape: of the image.
    """

    result: NDArray[np.uint8]
    inside: tuple[slice, ...]
    shape: tuple[int, ...]

    def take(self, finished: Iterator[tuple[int, NDArray[np.float32]]]) -> None:
        """Fill the result."""
        axes = [linear_axis(n, out) for n, out in zip(self.shape, self.result.shape, strict=True)]
        before: NDArray[np.float32] | None = None
        filled = 0
        for start, planes in finished:
            part = self._without_padding(start, planes)
            if part is None:
                continue
            first, scores = part
            if before is not None:
                first, scores = first - 1, np.concatenate([before, scores], axis=1)
            last = first + scores.shape[1] - 1
            ready = int(np.searchsorted(axes[0].high, last, side="right"))
            if ready > filled:
                cut = LinearAxis(axes[0].low[filled:ready] - first, axes[0].high, axes[0].weight[filled:ready])
                low, weight = stacked([cut, axes[1], axes[2]])
                out = self.result[filled:ready]
                export_planes(scores, low, weight, np.array(out.shape), out)
                filled = ready
            before = scores[:, -1:].copy()

    def _without_padding(self, start: int, planes: NDArray[np.float32]) -> tuple[int, NDArray[np.float32]] | None:
        edge = self.inside[0]
        first, end = max(start, edge.start), min(start + planes.shape[1], edge.stop)
        if first >= end:
            return None
        kept = planes[:, first - start : end - start, self.inside[1], self.inside[2]]
        return first - edge.start, np.ascontiguousarray(kept)


def _stripe_axis(shape: tuple[int, ...], window: Triple) -> int:
    """The axis along which a stripe is smallest."""
    return int(np.argmin([window[a] / max(shape[a], window[a]) for a in range(3)]))


def _reordered(sizes: Triple, order: list[int]) -> Triple:
    x, y, z = (sizes[o] for o in order)
    return (x, y, z)


def _padded(image: NDArray[np.float32], window: Triple, air: float) -> tuple[NDArray[np.float32], tuple[slice, ...]]:
    """The image with air around it where it is smaller than a window, and where it lies in that."""
    missing = [max(w - n, 0) for w, n in zip(window, image.shape, strict=True)]
    inside = tuple(slice(m // 2, m // 2 + n) for m, n in zip(missing, image.shape, strict=True))
    if not any(missing):
        return image, inside
    return np.pad(image, [(m // 2, m - m // 2) for m in missing], constant_values=np.float32(air)), inside


def _gaussian(window: Triple) -> NDArray[np.float32]:
    """(X, Y, Z) weights: largest in the middle, never zero."""
    sides = [np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (n * SIGMA)) ** 2) for n in window]
    weight = sides[0][:, None, None] * sides[1][:, None] * sides[2]
    return np.maximum(weight, 1e-4).astype(np.float32)


def network_predict(network: torch.nn.Module, device: torch.device) -> Predict:
    """A network as a function of one window."""

    @torch.inference_mode()
    def predict(part: NDArray[np.float32]) -> NDArray[np.float32]:
        scores: Tensor = network(torch.from_numpy(part)[None, None].to(device))
        return np.asarray(scores[0].float().cpu().numpy())

    return predict
