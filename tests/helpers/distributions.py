"""Folders as public datasets are published, of phantoms: official names, layouts and label ids, with known quirks."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from contract.grids import Grid
from coordinator.datasets.anatomy import LABELS, draw_case

SHAPE = (32, 27, 12)
AFFINE = np.array([[-9.3, 0.8, 0, 140], [0.8, -9.1, 0.4, 120], [0, 0.4, 11.5, -66], [0, 0, 0, 1]], np.float64)
"""Oblique, and its first two axes run to the patient's left and back, as those of most CTs do."""
STAND_INS = {
    "heart": "stomach", "kidney_cyst_left": "spleen", "heart_myocardium": "stomach", "inferior_vena_cava": "aorta",
}  # fmt: skip
"""Organs that the phantom has not -> one whose voxels they get."""


@dataclass(frozen=True, eq=False)
class Patient:
    """A phantom: image (X, Y, Z) int16 HU, and a mask of each organ."""

    image: NDArray[np.int16]
    organs: Mapping[str, NDArray[np.bool_]]

    def labels(self, table: Mapping[int, str]) -> NDArray[np.uint8]:
        """(X, Y, Z) label map in a dataset's ids; `kidney` is both of them."""
        labels = np.zeros(SHAPE, np.uint8)
        for label, organ in table.items():
            if (mask := self.mask(organ)) is not None:
                labels[mask] = label
        return labels

    def mask(self, organ: str) -> NDArray[np.bool_] | None:
        if organ == "kidney":
            return self.organs["kidney_left"] | self.organs["kidney_right"]
        return self.organs.get(organ, self.organs.get(STAND_INS.get(organ, "")))


@cache
def patient(number: int) -> Patient:
    """Draw a patient; each number is another one."""
    image, labels = draw_case(np.random.Generator(np.random.Philox(key=number)), Grid(SHAPE, AFFINE))
    return Patient(image.astype(np.int16), {organ: labels == i for i, organ in LABELS.items()})


def save(path: Path, array: NDArray[np.generic], affine: NDArray[np.float64] = AFFINE) -> None:
    """Save voxels as the file's ending says: one file, gzipped or not, or a pair for .hdr."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = nib.Nifti1Pair if path.suffix == ".hdr" else nib.Nifti1Image
    nib.save(kind(array, affine), path)


def litter(source: Path) -> None:
    """What macOS leaves in archives, beside every kind of file."""
    (source / "__MACOSX" / "imagesTr").mkdir(parents=True)
    (source / "__MACOSX" / "imagesTr" / "._amos_0001.nii.gz").write_bytes(b"\0\5\x16\7")
    for folder in [source, *(path for path in source.rglob("*") if path.is_dir() and "__MACOSX" not in path.parts)]:
        (folder / ".DS_Store").write_bytes(b"Bud1")
    for file in [path for path in source.rglob("*.nii.gz") if "__MACOSX" not in path.parts]:
        file.with_name(f"._{file.name}").write_bytes(b"\0\5\x16\7")


def write_pairs(
    source: Path, table: Mapping[int, str], numbers: list[int], image: str, labels: str | Callable[[int], str | None]
) -> None:
    """Write cases whose files are named by numbers.

    Args:
        source: folder to make.
        table: label id -> organ.
        numbers: of the cases.
        image: path of an image below it, with {} for the number.
        labels: the same of its labels, or a function that gives None for a case without labels.
    """
    for number in numbers:
        save(source / image.format(number), patient(number).image)
        path = labels.format(number) if isinstance(labels, str) else labels(number)
        if path is not None:
            save(source / path, patient(number).labels(table))


def write_masks(folder: Path, number: int, names: Mapping[str, str], ct: bool = True) -> None:
    """Write the folder of a case: `ct.nii.gz`, and a mask for each organ.

    Args:
        folder: of the case.
        number: of the patient.
        names: organ -> name of its file; organs that the phantom has not are empty.
        ct: whether there is an image.
    """
    if ct:
        save(folder / "ct.nii.gz", patient(number).image)
    for organ, name in names.items():
        mask = patient(number).mask(organ)
        save(folder / "segmentations" / f"{name}.nii.gz", (np.zeros(SHAPE) if mask is None else mask).astype(np.uint8))


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def digest_tree(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Path -> size, time of the last writing and sha256 of everything in a folder; of folders the time alone."""
    digests = {}
    for path in sorted([folder, *folder.rglob("*")]):
        status = path.lstat()
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        digests[str(path.relative_to(folder))] = (status.st_size, status.st_mtime_ns, sha256)
    return digests


def centre_mm(labels: Path, label: int) -> NDArray[np.float64]:
    """Where an organ lies, (3,) RAS mm, as nibabel reads the file."""
    image = nib.load(labels)
    voxels = np.argwhere(np.asarray(image.dataobj) == label)
    assert len(voxels), f"{labels}: no voxel has {label}"
    return np.asarray(image.affine[:3, :3] @ voxels.mean(axis=0) + image.affine[:3, 3])
