"""The dataset on which tools are tried: one abdomen in eight files, and the same files damaged in several ways.

FOLDER/<kind>/check/{dataset.yaml,images,labels}

sound       one volume, oblique and anisotropic, in eight orientations; one file has no sform, one no qform
upright     the same cases, all stored in RAS
damaged     sound, but one image is another one, one image is cut in the middle, one label map lies elsewhere
unreadable  every image is cut in the middle: shows what a tool tries, in no time
empty       no case

FOLDER/split             which cases a trainer is to learn from: all
FOLDER/label-version     labels on the images' grids, as a generator writes them
"""

import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from contract import atomic, volumes
from contract.datasets import SUFFIX
from contract.grids import Grid, inverse_orientation, orient, orient_grid
from contract.records import file_sha256
from coordinator.datasets.anatomy import LABELS
from coordinator.datasets.phantom import make_phantom

Kind = Literal["sound", "upright", "damaged", "unreadable", "empty"]
NAME = "check"
FORMS = {
    # case: (orientation, sform code, qform code): all six orders of the axes, mirrored and not
    "a_ras": ("RAS", 1, 1),
    "b_lps": ("LPS", 1, 1),
    "c_las": ("LAS", 2, 1),
    "d_rsa": ("RSA", 0, 1),
    "e_pir": ("PIR", 1, 0),
    "f_sra": ("SRA", 1, 1),
    "g_ipl": ("IPL", 4, 1),
    "h_ari": ("ARI", 1, 1),
}
CASES = tuple(FORMS)
CHANGED, TRUNCATED, ELSEWHERE = CASES[:3]
"""What the cases of `damaged` suffer from: other voxels, an image cut in the middle, labels on another grid."""
SHAPE = (48, 40, 12)
SCALE_MM = (6 / 1024, 6 / 1024, 9 / 1024)
TURN = (24, 1, -1, 1)
"""A quaternion of whole numbers: 8 degrees about no axis of the volume."""


@dataclass(frozen=True, slots=True)
class Data:
    """The dataset in all its kinds."""

    folder: Path

    def root(self, kind: Kind) -> Path:
        """What a tool is given as /data."""
        return self.folder / kind

    def image(self, case: str, kind: Kind = "sound") -> Path:
        """An image file."""
        return self.root(kind) / NAME / "images" / f"{case}{SUFFIX}"

    def given(self, name: str) -> Path:
        """An input that no step makes: `split` or `label-version`."""
        return self.folder / name

    def digests(self) -> dict[str, str]:
        """File -> sha256 of all that tools are shown."""
        files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): file_sha256(path) for path in files}


def make_data(folder: Path) -> Data:
    """Make the dataset in an empty folder."""
    hu, labels = _abdomen()
    data = Data(folder)
    kinds: tuple[Kind, ...] = ("sound", "upright", "damaged", "unreadable", "empty")
    for kind in kinds:
        _describe(data.root(kind) / NAME)
    for case, (orientation, sform, qform) in FORMS.items():
        _write(data, "sound", case, (hu, labels), (orientation, sform, qform))
        _write(data, "upright", case, (hu, labels), ("RAS", 1, 1))
        shutil.copy(data.image(case), data.image(case, "unreadable"))
        _cut(data.image(case, "unreadable"))
    _damage(data, (hu[::-1], labels))
    _make_inputs(data)
    return data


def grid() -> Grid:
    """The voxels in RAS+. Few binary digits, so that the affine is the same number in each orientation's header."""
    a, b, c, d = TURN
    turn = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a - b * b + c * c - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a - b * b - c * c + d * d],
        ]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn * SCALE_MM
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    return Grid(SHAPE, affine)


@cache
def _abdomen() -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    """(48, 40, 12) HU and labels from the middle of a phantom."""
    with tempfile.TemporaryDirectory(prefix="label-quality-") as name:
        folder = Path(name) / "phantom"
        make_phantom(folder, cases=1, shape=(2 * SHAPE[0], 2 * SHAPE[1], 2 * SHAPE[2] - 4))
        hu, labels = (_middle(path) for kind in ("images", "labels") for path in (folder / kind).iterdir())
    return hu, labels


def _middle(path: Path) -> NDArray[np.generic]:
    array = volumes.read_image(path).array
    starts = [(n - m) // 2 for n, m in zip(array.shape, SHAPE, strict=True)]
    return array[tuple(slice(start, start + m) for start, m in zip(starts, SHAPE, strict=True))]


def _describe(folder: Path) -> None:
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    table = "".join(f"  {label}: {organ}\n" for label, organ in LABELS.items())
    (folder / "dataset.yaml").write_text(f"name: {NAME}\nlabels:\n{table}", encoding="utf-8")


def _write(
    data: Data,
    kind: Kind,
    case: str,
    voxels: tuple[NDArray[np.generic], NDArray[np.generic]],
    form: tuple[str, int, int],
) -> None:
    """Write image and labels of a case, both (X, Y, Z) in RAS+, as (orientation, sform code, qform code) say."""
    code, sform, qform = form
    stored_as = inverse_orientation(nib.orientations.axcodes2ornt(code))
    stored = orient_grid(grid(), stored_as)
    image = nib.Nifti1Image(orient(voxels[0].astype(np.int16), grid(), stored_as), stored.affine)
    image.header.set_xyzt_units("mm")
    image.set_qform(stored.affine if qform else None, code=qform)
    image.set_sform(stored.affine if sform else None, code=sform)
    file = data.image(case, kind)
    nib.save(image, file)
    volumes.write_labels(_labels(file), voxels[1], volumes.read_image(file))


def _labels(image: Path) -> Path:
    return image.parent.with_name("labels") / image.name


def _cut(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def _damage(data: Data, changed: tuple[NDArray[np.generic], NDArray[np.generic]]) -> None:
    shutil.copytree(data.root("sound"), data.root("damaged"), dirs_exist_ok=True)
    _write(data, "damaged", CHANGED, changed, FORMS[CHANGED])
    _cut(data.image(TRUNCATED, "damaged"))
    file = _labels(data.image(ELSEWHERE, "damaged"))
    labels = nib.load(file)
    affine = labels.affine.copy()
    affine[0, 3] += 10
    volumes.write_image(file, np.asarray(labels.dataobj), affine)


def _make_inputs(data: Data) -> None:
    split, version = data.given("split"), data.given("label-version")
    split.mkdir()
    parts = {"train": CASES, "holdout": CASES}
    for name, cases in {**parts, "all": CASES}.items():
        (split / f"{name}.txt").write_text("".join(f"{case}\n" for case in cases), encoding="utf-8")
    atomic.write_json(split / "split.json", parts)
    atomic.write_json(split / "run.json", {"outputs": parts})
    shutil.copytree(data.root("sound") / NAME / "labels", version)
    outputs = {file.name: file_sha256(file) for file in sorted(version.iterdir())}
    atomic.write_json(version / "run.json", {"outputs": outputs})
