from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from voxtell_tool import volume
from voxtell_tool.network import Network
from voxtell_tool.volume import LabelMerger, Model, nonzero_box, segment_volume, stack_embeddings, z_scores

from contract import Case, CaseError, UsageError


@dataclass(frozen=True)
class Image:
    """Stands for a read image."""

    array: NDArray[np.generic]


class Ranges(torch.nn.Module):
    """Stands for the network: an embedding is a z-score and a width; what is within the width has logits above 0."""

    def forward(self, tile: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
        middle, width = (column[:, :, None, None, None] for column in embeddings.unbind(-1))
        return width - (tile - middle).abs()


def make_model(labels: tuple[int, ...], embeddings: list[list[float]]) -> Model:
    return Model(Network(Ranges(), (4, 4, 4), 2, torch.device("cpu")), labels, torch.tensor(embeddings))


def case_of(array: NDArray[np.generic]) -> Case:
    return Case("a", Image(array), None, {})  # type: ignore[arg-type]


def test_the_more_probable_organ_wins_and_the_lower_label_where_two_are_equal():
    merger = LabelMerger((5,), 9)

    merger.add(2, np.array([0.5, 2, 1, -1, 0], np.float32))
    merger.add(5, np.array([0.7, 1, 1, -2, 0], np.float32))

    assert merger.labels.tolist() == [5, 2, 2, 0, 0]


@pytest.mark.parametrize(("highest", "kind"), [(255, np.uint8), (256, np.uint16)])
def test_labels_above_255_are_kept(highest: int, kind: type):
    merger = LabelMerger((1,), highest)

    merger.add(highest, np.array([1], np.float32))

    assert merger.labels.dtype == kind and merger.labels[0] == highest


def test_scores_are_of_the_box_that_is_not_0():
    image = np.zeros((4, 5, 6), np.int16)
    image[1, 2, 3], image[2, 2, 5] = 10, 30
    box = nonzero_box(image)

    scores = z_scores(image[box])

    assert box == (slice(1, 3), slice(2, 3), slice(3, 6))
    # 10, 0, 0, 0, 0, 30: mean 40 / 6, variance 1000 / 6 less its square
    assert scores[1, 0, 2] == pytest.approx((30 - 40 / 6) / np.sqrt(1000 / 6 - (40 / 6) ** 2), abs=1e-6)
    assert (image[1, 2, 3], scores.dtype) == (10, np.float32)


def test_organs_are_found_on_the_voxels_of_the_image():
    hu = np.full((7, 6, 5), -100, np.int16)
    hu[0] = 0  # outside of the box that is not 0
    hu[2:4, 1, 3] = 900
    inside = z_scores(hu[1:])
    bright, dark = float(inside.max()), float(inside.min())

    labels = segment_volume(make_model((3, 300), [[bright, 0.5], [dark, 0.5]]), case_of(hu))

    assert labels.shape == hu.shape and labels.dtype == np.uint16
    assert (labels == 3).sum() == 2 and (labels[2:4, 1, 3] == 3).all()
    assert not labels[0].any() and (labels == 300).sum() == 6 * 6 * 5 - 2


def test_organs_that_are_predicted_one_by_one_are_the_same(monkeypatch: pytest.MonkeyPatch):
    hu = np.random.default_rng(2).integers(-200, 200, (9, 5, 6)).astype(np.int16)
    model = make_model((1, 4, 6), [[-1, 0.8], [0.2, 1], [1, 0.7]])
    together = segment_volume(model, case_of(hu))

    monkeypatch.setattr(volume, "AT_ONCE", 1)

    assert (segment_volume(model, case_of(hu)) == together).all()
    assert set(np.unique(together)) >= {1, 4, 6}


@pytest.mark.parametrize("value", [0, -1000])
def test_an_image_that_shows_nothing_is_refused(value: int):
    with pytest.raises(CaseError, match=f"all voxels are {value}"):
        segment_volume(make_model((1,), [[0, 1]]), case_of(np.full((4, 4, 4), value, np.int16)))


def test_embeddings_of_another_network_are_refused():
    model = make_model((1,), [[0, 1]])

    with pytest.raises(UsageError, match="must have 2 numbers for this network, but have 3"):
        stack_embeddings(model.network, {"liver": np.zeros(3, np.float16)}, ["liver"])
