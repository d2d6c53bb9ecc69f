"""Stand-ins of public datasets: their names, label tables, number of labelled cases and names of cases, in tiny volumes.

    python tests/helpers/publicdatasets.py DATA            # all seven of the paper's studies with all their cases
    python tests/helpers/publicdatasets.py DATA --cases 10

For planning alone: an image is noise, and organs are blocks. All cases of FLARE21 are scans of AbdomenCT-1K, as they are
in the published ones.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np

from contract import yamlfiles
from contract.datasets import DatasetDescription
from coordinator.datasets.known import description_file

SHAPE = (12, 12, 12)
SHARED = ("abdomenct1k", "flare21")
CASES: dict[str, tuple[int, Callable[[int], str]]] = {
    "btcv": (30, lambda i: f"{i if i <= 10 else i + 10:04d}"),
    "word": (120, lambda i: f"word_{i:04d}"),
    "amos22": (300, lambda i: f"amos_{i:04d}"),
    "abdomenct1k": (1000, lambda i: f"Case_{i:05d}"),
    "abdomenatlas10": (5195, lambda i: f"BDMAP_{i:08d}"),
    "segthor": (40, lambda i: f"Patient_{i:02d}"),
    "flare21": (361, lambda i: f"train_{i:03d}"),
}
"""Dataset -> number of labelled cases, and the name of the i-th from 1."""


def make_stand_in(data: Path, name: str, cases: int | None = None) -> None:
    """Make a stand-in of a public dataset in a folder of datasets.

    Args:
        data: the folder.
        name: one of `CASES`.
        cases: number of them; the official one where None.
    """
    folder, (count, name_case) = data / name, CASES[name]
    text = description_file(name).read_text(encoding="utf-8")
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    (folder / "dataset.yaml").write_text(text, encoding="utf-8")
    ids = list(yamlfiles.load(folder / "dataset.yaml", DatasetDescription).labels)
    labels = np.zeros(SHAPE, np.uint8)
    for place, label in enumerate(ids):
        labels[2 * (place % 5) + 1, 2 * (place // 5) + 1, 2:10] = label
    source = list(CASES).index(SHARED[0] if name in SHARED else name)
    affine = np.diag([0.8, 0.8, 2.5, 1.0])
    for i in range(1, (cases or count) + 1):
        random = np.random.default_rng([source, i])
        image = random.integers(-200, 250, SHAPE).astype(np.int16)
        image[0] = -1000
        case = f"{name_case(i)}.nii.gz"
        nib.save(nib.Nifti1Image(image, affine), folder / "images" / case)
        nib.save(nib.Nifti1Image(labels, affine), folder / "labels" / case)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cases", type=int)
    arguments = parser.parse_args()
    for each in CASES:
        make_stand_in(arguments.data, each, arguments.cases)
