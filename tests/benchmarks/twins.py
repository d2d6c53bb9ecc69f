"""Telling that a scan is a copy of another: the fingerprints of a case beside reading it, and matching thousands.

reading and fingerprints   < 1.3 times reading   `read_image`, then `scan_print` and `values_digest`
matching 8,000 prints      < 4 times 4,000       so it does not grow with the square: 2 is linear

512 x 512 x 200 voxels of int16: smooth tissue in air with noise of 12 HU, gzip as nibabel writes it. CPU times, medians of
alternating runs: the machine may have other things to do. Prints to match are random keys, a tenth of them copies.
"""

import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom
from timing import medians

from contract.volumes import read_image
from coordinator.datasets.scanprints import KEPT, match_prints, scan_print
from coordinator.datasets.twins import values_digest

SHAPE = (512, 512, 200)
RUNS = 7
FEW, MANY = 4000, 8000
MOST_OF_READING, MOST_OF_FEW = 1.3, 4


def main() -> int:
    """Measure; 1 where a goal is not met."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scan.nii.gz"
        nib.save(nib.Nifti1Image(draw_scan(), np.diag([-0.8, -0.8, 2.5, 1])), file)
        read, both = medians(RUNS, lambda: read_image(file), lambda: read_with_prints(file))
        array = read_image(file).array
    printed, summed = medians(RUNS, lambda: scan_print(array), lambda: values_digest(array))
    few, many = (random_prints(count) for count in (FEW, MANY))
    assert len(match_prints(many)) == MANY // 10
    matched, matched_many = medians(3, lambda: match_prints(few), lambda: match_prints(many))

    show("read_image, 512 x 512 x 200", f"{read * 1000:.0f} ms")
    show("scan_print", f"{printed * 1000:.0f} ms")
    show("values_digest", f"{summed * 1000:.0f} ms")
    show(f"match_prints, {FEW:,} and {MANY:,} scans", f"{matched * 1000:.0f} and {matched_many * 1000:.0f} ms")
    met = [both / read < MOST_OF_READING, matched_many / matched < MOST_OF_FEW]
    show("times as long as reading", f"{both / read:.2f}   goal < {MOST_OF_READING}   {'met' if met[0] else 'NOT MET'}")
    show(
        "times as long for twice as many",
        f"{matched_many / matched:.1f}   goal < {MOST_OF_FEW}   {'met' if met[1] else 'NOT MET'}",
    )
    return 0 if all(met) else 1


def draw_scan() -> NDArray[np.int16]:
    """A body in air, with noise everywhere."""
    random = np.random.Generator(np.random.Philox(key=0))
    tissue = zoom(random.normal(60, 60, (8, 8, 5)), np.divide(SHAPE, (8, 8, 5)), order=1)
    x, y = np.meshgrid(np.linspace(-1.3, 1.3, SHAPE[0]), np.linspace(-1.6, 1.6, SHAPE[1]), indexing="ij")
    voxels = np.where((x**2 + y**2 < 1)[..., None], tissue, -1000) + random.normal(0, 12, SHAPE)
    return np.rint(voxels).clip(-1024, 3071).astype(np.int16)


def read_with_prints(file: Path) -> None:
    """What the check of a dataset does with an image to find copies."""
    array = read_image(file).array
    scan_print(array)
    values_digest(array)


def random_prints(count: int) -> dict[str, tuple[str, ...]]:
    """Prints of which every tenth shares three quarters of its keys with the one before."""
    random = np.random.Generator(np.random.Philox(key=1))
    keys = [[f"{key:012x}" for key in random.integers(0, 2**48, 3 * KEPT)] for _ in range(count)]
    for number in range(9, count, 10):
        keys[number][: 9 * KEPT // 4] = keys[number - 1][: 9 * KEPT // 4]
    return {f"{number:05d}": tuple(sorted(of)) for number, of in enumerate(keys)}


def show(what: str, value: str) -> None:
    """One line."""
    sys.stdout.write(f"{what:<40} {value}\n")


if __name__ == "__main__":
    raise SystemExit(main())
