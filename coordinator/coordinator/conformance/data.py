"""The dataset on which tools are checked: one abdomen in eight files, and the same files damaged in several ways.

FOLDER/<kind>/check/{dataset.yaml,images,labels}

sound       one volume, oblique and anisotropic, in eight orientations; one file has no sform, one no qform
upright     the same cases, all stored in RAS
damaged     sound, but one image has other voxels, one image is truncated, one label map is on another grid
unreadable  every image is truncated: quickly shows which cases a tool reads
empty       no case

FOLDER/split             the cases that a trainer learns from: all of them
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
from contract.manifest import LABEL_VERSIONS
from contract.records import file_sha256
from coordinator.datasets.anatomy import LABELS
from coordinator.datasets.phantom import make_phantom

Kind = Literal["sound", "upright", "damaged", "unreadable", "empty"]
NAME = "check"
HEADERS = {
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
CASES = tuple(HEADERS)
CHANGED, TRUNCATED, OTHER_GRID = CASES[:3]
"""The damaged cases: one with other voxels, one with a truncated image, one with labels on another grid."""
SHAPE = (48, 40, 12)
SCALE_MM = (6 / 1024, 6 / 1024, 9 / 1024)
ROTATION = (24, 1, -1, 1)
"""A quaternion of whole numbers: a rotation by 8 degrees about an oblique axis."""


@dataclass(frozen=True, slots=True)
class CheckData:
    """The dataset in all kinds."""

    folder: Path

    def root(self, kind: Kind) -> Path:
        """The folder that a tool gets as /data."""
        return self.folder / kind

    def image(self, case: str, kind: Kind = "sound") -> Path:
        """Path of an image."""
        return self.root(kind) / NAME / "images" / f"{case}{SUFFIX}"

    def input_folder(self, name: str) -> Path:
        """Folder of an input that no step makes: `split` or `label-version`."""
        return self.folder / name

    def digests(self) -> dict[str, str]:
        """File -> sha256 of all files."""
        files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): file_sha256(path) for path in files}


def make_data(folder: Path) -> CheckData:
    """Make the dataset in an empty folder."""
    hu, labels = _abdomen()
    data = CheckData(folder)
    kinds: tuple[Kind, ...] = ("sound", "upright", "damaged", "unreadable", "empty")
    for kind in kinds:
        _write_description(data.root(kind) / NAME)
    for case, (orientation, sform, qform) in HEADERS.items():
        _write_case(data, "sound", case, (hu, labels), (orientation, sform, qform))
        _write_case(data, "upright", case, (hu, labels), ("RAS", 1, 1))
        shutil.copy(data.image(case), data.image(case, "unreadable"))
        _truncate(data.image(case, "unreadable"))
    _damage(data, (hu[::-1], labels))
    _make_inputs(data)
    return data


def grid() -> Grid:
    """The grid in RAS+. Its affine has few binary digits, so that the header of every orientation holds it exactly."""
    a, b, c, d = ROTATION
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
        hu, labels = (_crop_middle(path) for kind in ("images", "labels") for path in (folder / kind).iterdir())
    return hu, labels


def _crop_middle(path: Path) -> NDArray[np.generic]:
    array = volumes.read_image(path).array
    starts = [(n - m) // 2 for n, m in zip(array.shape, SHAPE, strict=True)]
    return array[tuple(slice(start, start + m) for start, m in zip(starts, SHAPE, strict=True))]


def _write_description(folder: Path) -> None:
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    table = "".join(f"  {label}: {organ}\n" for label, organ in LABELS.items())
    (folder / "dataset.yaml").write_text(f"name: {NAME}\nlabels:\n{table}", encoding="utf-8")


def _write_case(
    data: CheckData,
    kind: Kind,
    case: str,
    voxels: tuple[NDArray[np.generic], NDArray[np.generic]],
    form: tuple[str, int, int],
) -> None:
    """Write the image and labels of a case.

    Args:
        data: the dataset.
        kind: kind of data.
        case: name of the case.
        voxels: (X, Y, Z) image and labels in RAS+.
        form: orientation, sform code and qform code of the image file.
    """
    code, sform, qform = form
    stored_as = inverse_orientation(nib.orientations.axcodes2ornt(code))
    stored = orient_grid(grid(), stored_as)
    image = nib.Nifti1Image(orient(voxels[0].astype(np.int16), grid(), stored_as), stored.affine)
    image.header.set_xyzt_units("mm")
    image.set_qform(stored.affine if qform else None, code=qform)
    image.set_sform(stored.affine if sform else None, code=sform)
    file = data.image(case, kind)
    nib.save(image, file)
    volumes.write_labels(_label_map_path(file), voxels[1], volumes.read_image(file))


def _label_map_path(image: Path) -> Path:
    return image.parent.with_name("labels") / image.name


def _truncate(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def _damage(data: CheckData, changed: tuple[NDArray[np.generic], NDArray[np.generic]]) -> None:
    shutil.copytree(data.root("sound"), data.root("damaged"), dirs_exist_ok=True)
    _write_case(data, "damaged", CHANGED, changed, HEADERS[CHANGED])
    _truncate(data.image(TRUNCATED, "damaged"))
    file = _label_map_path(data.image(OTHER_GRID, "damaged"))
    labels = nib.load(file)
    affine = labels.affine.copy()
    affine[0, 3] += 10
    volumes.write_image(file, np.asarray(labels.dataobj), affine)


def _make_inputs(data: CheckData) -> None:
    split, version = data.input_folder("split"), data.input_folder("label-version")
    split.mkdir()
    parts = {"train": CASES, "holdout": CASES}
    for name, cases in {**parts, "all": CASES}.items():
        (split / f"{name}.txt").write_text("".join(f"{case}\n" for case in cases), encoding="utf-8")
    atomic.write_json(split / "split.json", parts)
    atomic.write_json(split / "run.json", {"outputs": parts})
    shutil.copytree(data.root("sound") / NAME / "labels", version)
    outputs = {file.name: file_sha256(file) for file in sorted(version.iterdir())}
    atomic.write_json(version / "run.json", {"outputs": outputs})
    for name in ("a", "b", "c"):
        shutil.copytree(version, data.input_folder(LABEL_VERSIONS) / name)
