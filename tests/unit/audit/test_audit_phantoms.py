"""The audit of anatomy on the project's own phantoms: they are sound, whatever their seed, grid and orientation."""

from pathlib import Path

import pytest

from contract.datasets import case_names
from contract.volumes import read_image, read_labels
from coordinator.datasets.anatomy import LABELS
from coordinator.datasets.audit.anatomy.organs import judge_organs, measure_organs
from coordinator.datasets.phantom import make_phantom


@pytest.mark.parametrize(
    ("seed", "shape"),
    [(0, (64, 54, 16)), (1, (64, 54, 16)), (3, (40, 34, 12)), (5, (96, 80, 36)), (6, (64, 54, 32)), (9, (64, 54, 24))],
)
def test_the_phantoms_of_the_project_give_no_finding(seed: int, shape: tuple[int, int, int], tmp_path: Path):
    folder = tmp_path / "phantom"
    make_phantom(folder, cases=8, seed=seed, shape=shape)
    measures = {}
    for case in case_names(folder / "images"):
        image = read_image(folder / "images" / f"{case}.nii.gz")
        labels = read_labels(folder / "labels" / f"{case}.nii.gz", image)
        measures[case] = measure_organs(labels, image, LABELS)

    assert judge_organs(measures, LABELS) == []
