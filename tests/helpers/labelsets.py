"""A dataset with two sets of labels: careless ones of all its cases, an expert's of some."""

from pathlib import Path

import nibabel as nib
import numpy as np

from contract.datasets import SUFFIX
from coordinator.datasets.phantom import make_phantom

EXPERT = "labels_expert"


def make_relabelled_phantom(
    folder: Path, cases: int, corrected: int, shape: tuple[int, int, int] = (24, 24, 12)
) -> None:
    """Make a phantom whose own labels are two voxels off; an expert has the true ones of the first cases.

    Args:
        folder: of the dataset; its name is the dataset's.
        cases: how many.
        corrected: how many of them the expert has labelled.
        shape: of each image.
    """
    make_phantom(folder, cases=cases, shape=shape)
    (folder / EXPERT).mkdir()
    for number, file in enumerate(sorted((folder / "labels").glob(f"*{SUFFIX}"))):
        true = nib.load(file)
        if number < corrected:
            nib.save(true, folder / EXPERT / file.name)
        nib.save(nib.Nifti1Image(np.roll(np.asarray(true.dataobj), 2, axis=0), true.affine, true.header), file)
