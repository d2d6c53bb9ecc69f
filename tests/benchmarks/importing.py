"""The import of a case beside reading its files, which it can't do without: at least 80 % of that speed.

one label map     < 1.25 times reading   `import_case` links both files and reads them to their end
30 masks          < 1.25 times reading   it merges the masks, and writes one label map

512 x 512 x 200 voxels, as gzip as nibabel writes it: smooth tissue in air with noise, and organs that are balls. Reading is
`read_image` and `read_labels`, as whoever uses the files does it. CPU times, medians of alternating runs.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
from timing import medians
from twins import draw_scan, show

from contract.volumes import read_image, read_labels
from coordinator.datasets.importing.cases import SourceCase
from coordinator.datasets.importing.onecase import Place, import_case

RUNS = 3
ORGANS = 30
RADIUS = 28
AFFINE = np.diag([-0.8, -0.8, 2.5, 1])
MOST_OF_READING = 1.25


def main() -> int:
    """Measure; 1 where a goal is not met."""
    with tempfile.TemporaryDirectory() as folder:
        source, data = Path(folder) / "source", Path(folder) / "data"
        write_source(source)
        for part in ("images", "labels"):
            (data / part).mkdir(parents=True)
        organs = {i: f"organ_{i}" for i in range(1, ORGANS + 1)}
        place = Place(source, data, data)
        masks = {organ: f"masks/{organ}.nii.gz" for organ in organs.values()}
        whole = SourceCase("whole", "ct.nii.gz", labels="labels.nii.gz")
        parts = SourceCase("parts", "ct.nii.gz", masks=masks)
        met = [
            measure("one label map", lambda: read(source, ["labels.nii.gz"]), lambda: bring(whole, place, organs)),
            measure(f"{ORGANS} masks", lambda: read(source, list(masks.values())), lambda: bring(parts, place, organs)),
        ]
    return 0 if all(met) else 1


def write_source(folder: Path) -> None:
    """A scan, a label map, and a mask for each of its organs."""
    scan = draw_scan()
    (folder / "masks").mkdir(parents=True)
    nib.save(nib.Nifti1Image(scan, AFFINE), folder / "ct.nii.gz")
    labels = np.zeros(scan.shape, np.uint8)
    random = np.random.Generator(np.random.Philox(key=2))
    for organ in range(1, ORGANS + 1):
        x, y, z = (random.integers(RADIUS, length - RADIUS) for length in scan.shape)
        box = labels[x - RADIUS : x + RADIUS, y - RADIUS : y + RADIUS, z - RADIUS : z + RADIUS]
        box[np.linalg.norm(np.indices(box.shape) - RADIUS, axis=0) < RADIUS] = organ
    nib.save(nib.Nifti1Image(labels, AFFINE), folder / "labels.nii.gz")
    for organ in range(1, ORGANS + 1):
        mask = nib.Nifti1Image((labels == organ).astype(np.uint8), AFFINE)
        nib.save(mask, folder / "masks" / f"organ_{organ}.nii.gz")


def read(source: Path, labels: list[str]) -> None:
    """Read the files of a case."""
    image = read_image(source / "ct.nii.gz")
    for file in labels:
        read_labels(source / file, image)


def bring(case: SourceCase, place: Place, organs: dict[int, str]) -> None:
    """Import a case."""
    result = import_case(case.name, case, place, organs)
    assert result.problem is None, result.problem
    assert len(result.organs) == ORGANS


def measure(what: str, reading: Callable[[], None], importing: Callable[[], None]) -> bool:
    """Measure both, and say whether the import is fast enough."""
    of_reading, of_import = medians(RUNS, reading, importing)
    is_met = of_import / of_reading < MOST_OF_READING
    show(f"reading, {what}", f"{of_reading:.2f} s")
    show(f"importing, {what}", f"{of_import:.2f} s")
    show("times as long", f"{of_import / of_reading:.2f}   goal < {MOST_OF_READING}   {'met' if is_met else 'NOT MET'}")
    return is_met


if __name__ == "__main__":
    sys.exit(main())
