"""A phantom patient whose files are stored in several ways, to see whether a tool minds."""

from pathlib import Path

import numpy as np

from contract.datasets import Dataset, open_dataset
from contract.volumes import read_image, read_labels, write_image
from coordinator.datasets.phantom import make_phantom

OBLIQUE = np.array([[0.99, 0.1, -0.08, 0], [-0.09, 0.99, 0.12, 0], [0.09, -0.11, 0.99, 0], [0, 0, 0, 1]])
STORED = {
    "ras": np.diag([1, 1, 1, 1]),
    "lps": np.diag([-1, -1, 1, 1]),
    "las": np.diag([-1, 1, 1, 1]),
    "oblique": OBLIQUE @ np.diag([-1, 1, -1, 1]),
}
"""Case -> directions of the voxels' axes; the same patient in all of them."""
SEED = 5
"""Not that of the phantoms which stand-ins have learnt from."""


def make_stored_phantom(folder: Path, shape: tuple[int, int, int], slices: slice = slice(None)) -> Dataset:
    """Make the dataset `phantom` in a data folder, with a case for each entry of `STORED`.

    Args:
        folder: of datasets.
        shape: (X, Y, Z) voxels of the phantom.
        slices: axial slices that are kept.
    """
    make_phantom(folder / "made" / "phantom", cases=1, seed=SEED, shape=shape)
    source = open_dataset(folder / "made", "phantom")
    image = read_image(source.image("phantom_001"))
    labels = read_labels(source.label("phantom_001"), image)
    for kind, voxels in (("images", image.array), ("labels", labels)):
        (folder / "phantom" / kind).mkdir(parents=True)
        for case, axes in STORED.items():
            flips = [np.s_[:: int(np.sign(axes[i, i]))] for i in range(3)]
            affine = axes @ np.diag([*image.spacing_mm, 1])
            write_image(folder / "phantom" / kind / f"{case}.nii.gz", voxels[:, :, slices][tuple(flips)], affine)
    (folder / "phantom" / "dataset.yaml").write_bytes((source.folder / "dataset.yaml").read_bytes())
    return open_dataset(folder, "phantom")
