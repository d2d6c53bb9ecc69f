"""A real training, small: ten phantoms, of which a fold's model sees eight, scored on the two others."""

from pathlib import Path

import numpy as np
import pytest
from nnunet_bench import Workbench

from contract.datasets import case_names, open_dataset
from contract.volumes import read_image, read_labels
from coordinator.datasets.phantom import make_phantom

SMALL = (
    "--patch", "32,32,16", "--features", "8,16,32", "--no-mirroring", "--learning-rate", "0.3",
    "--epochs", "16", "--iterations-per-epoch", "120", "--validation-iterations", "2",
)  # fmt: skip
"""Three minutes a fold on one core; so short a training needs a larger learning rate than nnU-Net's."""


@pytest.mark.venvs
@pytest.mark.long
def test_held_out_phantoms_are_labelled_with_a_dice_of_0_7(bench: Workbench):
    make_phantom(bench.data / "phantoms", cases=10, shape=(48, 40, 24))
    bench.run("prepared", "--step", "prepare", *SMALL, dataset="phantoms")

    bench.run("fold-0", "--step", "fold-0", *SMALL, dataset="phantoms", prepare=bench.out("prepared", "phantoms"))

    scores = dice(bench.data, bench.out("fold-0", "phantoms"))
    assert scores.shape == (2, 7)
    assert scores.mean() >= 0.7, scores


def dice(data: Path, results: Path) -> np.ndarray:
    """(cases, organs) Dice of the label maps in a folder."""
    dataset = open_dataset(data, "phantoms")
    rows = []
    for case in case_names(results):
        image = read_image(dataset.image(case))
        reference = read_labels(dataset.label(case), image, dataset.labels)
        result = read_labels(results / f"{case}.nii.gz", image, dataset.labels)
        pairs = [(result == i, reference == i) for i in dataset.labels]
        rows.append([2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairs])
    return np.array(rows)
