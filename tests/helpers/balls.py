"""A dataset that a small network learns in seconds: a bright ball in each image; careless labels of all, an expert's of some."""

from pathlib import Path

import nibabel as nib
import numpy as np

EXPERT = "labels_expert"
SHAPE = (24, 24, 12)
AIR_HU = -1000
SHIFT = 3
"""Voxels that the careless labels are off, always to the same side, so that networks learn it."""


def make_balls(folder: Path, cases: int, corrected: int) -> None:
    """Make the dataset.

    Args:
        folder: of the dataset; its name is the dataset's.
        cases: how many.
        corrected: how many of them the expert has labelled, the first ones.
    """
    for part in ("images", "labels", EXPERT):
        (folder / part).mkdir(parents=True)
    (folder / "dataset.yaml").write_text(f"name: {folder.name}\nlabels: {{1: liver}}\n")
    for number in range(1, cases + 1):
        random = np.random.Generator(np.random.Philox(key=number))
        centre = [length / 2 + random.integers(-2, 3) for length in SHAPE]
        distances = np.sqrt(sum((axis - c) ** 2 for axis, c in zip(np.indices(SHAPE), centre, strict=True)))
        ball = (distances < random.uniform(4, 5)).astype(np.uint8)
        image = np.round(random.normal(0, 20, SHAPE) + 200 * ball).astype(np.int16)
        image[:, 0] = AIR_HU
        maps = {"images": image, "labels": np.roll(ball, SHIFT, axis=0), EXPERT: ball}
        for part, array in maps.items():
            if part != EXPERT or number <= corrected:
                nib.save(
                    nib.Nifti1Image(array, np.diag([2.0, 2.0, 4.0, 1.0])), folder / part / f"ball_{number:02d}.nii.gz"
                )
