import numpy as np
import pytest
from dynunet_trainer.resample import highest_channel
from dynunet_trainer.windows import predict_labels, window_starts

AIR = -2.0
WINDOW = (8, 6, 4)


def random_of(seed):
    return np.random.Generator(np.random.Philox(key=seed))


def network(part):
    """Scores that depend on a voxel and on its place in the window, so that averaging over windows shows."""
    place = np.indices(part.shape).sum(axis=0)
    return np.stack([np.zeros(part.shape), part + 0.03 * place, 0.6 * part**2 - 0.01 * place]).astype(np.float32)


def labels_without_stripes(image, shape, overlap=0.5):
    """The same in plain steps: pad, add up all windows of all classes, divide, enlarge, take the highest."""
    missing = [max(w - n, 0) for w, n in zip(WINDOW, image.shape, strict=True)]
    padded = np.pad(image, [(m // 2, m - m // 2) for m in missing], constant_values=AIR)
    sides = [np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (n / 8)) ** 2) for n in WINDOW]
    weight = np.einsum("i,j,k->ijk", *sides).astype(np.float32)
    total, scores = np.zeros(padded.shape, np.float32), np.zeros((3, *padded.shape), np.float32)
    starts = [window_starts(n, w, overlap) for n, w in zip(padded.shape, WINDOW, strict=True)]
    for x in starts[0]:
        for y in starts[1]:
            for z in starts[2]:
                box = np.s_[x : x + WINDOW[0], y : y + WINDOW[1], z : z + WINDOW[2]]
                scores[:, *box] += network(padded[box]) * weight
                total[box] += weight
    inside = tuple(slice(m // 2, m // 2 + n) for m, n in zip(missing, image.shape, strict=True))
    return highest_channel(np.ascontiguousarray((scores / total)[:, *inside]), shape)


@pytest.mark.parametrize(
    ("image_shape", "shape"),
    [
        ((40, 9, 7), (40, 9, 7)), ((9, 31, 6), (14, 22, 11)), ((9, 8, 21), (5, 8, 40)),
        ((3, 5, 2), (6, 9, 2)), ((8, 6, 4), (8, 6, 4)), ((5, 30, 1), (7, 61, 1)),
    ],
)  # fmt: skip
def test_labels_of_stripes_are_those_of_the_whole_whatever_the_long_axis(image_shape, shape):
    image = random_of(3).normal(size=image_shape).astype(np.float32)

    found = predict_labels(image, WINDOW, 0.5, shape, network, air=AIR)

    assert found.shape == shape
    assert (found == labels_without_stripes(image, shape)).mean() == 1
    assert len(np.unique(found)) > 1


def test_windows_reach_from_end_to_end_evenly_with_at_least_the_overlap():
    starts = window_starts(50, 16, 0.5)

    assert (starts[0], starts[-1]) == (0, 34)
    assert max(np.diff(starts)) <= 8
    assert max(np.diff(starts)) - min(np.diff(starts)) <= 1
    assert window_starts(16, 16, 0.5) == window_starts(9, 16, 0.5) == [0]


def test_windows_of_air_are_computed_once_and_give_the_same_labels():
    image = np.full((40, 12, 8), AIR, np.float32)
    image[14:20] = random_of(1).normal(size=(6, 12, 8))
    seen = []

    def counted(part):
        seen.append(bool((part == np.float32(AIR)).all()))
        return network(part)

    found = predict_labels(image, WINDOW, 0.5, image.shape, counted, air=AIR)

    assert seen.count(True) == 1
    assert (found == labels_without_stripes(image, image.shape)).all()
