"""Mutated NIfTI and gzip bytes: only declared errors, no hang, and no more memory than the header announces.

`make fuzz COUNT=50000` tries so many and prints figures. A finding is named by its seed and number; it becomes a maker in
FINDINGS, which run first.
"""

import resource
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import nibabel as nib
import numpy as np
import pytest
from helpers import fuzzing
from helpers.niftibytes import OBLIQUE, PIXDIM, QUATERNION, SCALE, SFORM, VOX_OFFSET, dims, nifti_bytes, pack
from helpers.niftifuzz import make_file

from contract.errors import CaseError
from contract.gzipfiles import compress
from contract.volumes import read_grid, read_image, read_label_pair, read_labels, write_labels
from coordinator.datasets.hounsfield import describe_voxels

QUICK = 150
MOST_S, HANGS_S = 5, 120
"""CPU time of one file; and the time after which it is interrupted, which a busy machine needs."""
MOST_MEMORY_MB = 1000
"""Over what headers announce, which is little here."""
VOXELS = np.arange(60, dtype=np.int16).reshape(5, 4, 3)
NAN = float("nan")

FINDINGS: dict[str, Callable[[], bytes]] = {
    "content shorter than a header": lambda: compress(b"\x5c\x01\0\0"),
    "nothing": lambda: compress(b""),
    "a negative length": lambda: compress(nifti_bytes(VOXELS, OBLIQUE, dims(5, -4, 3))),
    "huge lengths with a scale": lambda: compress(
        nifti_bytes(VOXELS, OBLIQUE, dims(30000, 30000, 30000), pack(SCALE, "2f", 2, 1))
    ),
    "an affine whose determinant overflows": lambda: compress(
        nifti_bytes(VOXELS, OBLIQUE, pack(SFORM, "12f", *[3e38] * 12))
    ),
    "an affine of denormal numbers": lambda: compress(nifti_bytes(VOXELS, OBLIQUE, pack(SFORM, "12f", *[1e-44] * 12))),
    "an offset that is no number": lambda: compress(nifti_bytes(VOXELS, OBLIQUE, pack(VOX_OFFSET, "f", NAN))),
    "an offset beyond the file": lambda: compress(nifti_bytes(VOXELS, OBLIQUE, pack(VOX_OFFSET, "f", 3e38))),
    "a quaternion that is no number": lambda: compress(nifti_bytes(VOXELS, OBLIQUE, pack(QUATERNION, "3f", NAN, 0, 0))),
    "voxel sizes that are no numbers": lambda: compress(nifti_bytes(VOXELS, OBLIQUE, pack(PIXDIM, "4f", *[NAN] * 4))),
    "a scale that float32 does not hold": lambda: compress(nifti2_with_scale(1e300)),
    "a scale that overflows": lambda: compress(nifti_bytes(VOXELS, OBLIQUE, pack(SCALE, "2f", 3e38, 3e38))),
}


def nifti2_with_scale(slope: float) -> bytes:
    """A NIfTI-2 file, whose scale has double precision."""
    image = nib.Nifti2Image(VOXELS, OBLIQUE)
    content = bytearray(image.to_bytes())
    content[176:192] = np.array([slope, 0], "<f8").tobytes()
    return bytes(content)


@dataclass(slots=True)
class Figures:
    """What came of the files that were tried."""

    read: int = 0
    refused: int = 0
    slowest_s: float = 0
    undeclared: list[str] = field(default_factory=list)
    unforeseen: Counter[str] = field(default_factory=Counter)


@pytest.mark.parametrize("name", FINDINGS)
def test_an_earlier_finding_is_read_or_the_failure_of_its_case(name: str, tmp_path: Path):
    figures = Figures()

    try_file(tmp_path / "case.nii.gz", FINDINGS[name](), name, figures)

    assert figures.undeclared == []
    assert not figures.unforeseen


def test_mutated_files_are_read_or_the_failure_of_their_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    figures, tried, seed = Figures(), fuzzing.count(QUICK), fuzzing.seed()
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    for number in range(tried):
        try_file(tmp_path / "case.nii.gz", make_file(seed, number), f"{seed}/{number}", figures)

    memory_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1000
    if tried > QUICK:
        with capsys.disabled():
            print(  # noqa: T201 - the figures are what a long run is for
                f"\nNIfTI: {tried} files of seed {seed}: {figures.read} read, {figures.refused} refused, "
                f"{len(figures.undeclared)} undeclared exceptions, slowest {figures.slowest_s:.2f} s of CPU time, "
                f"{memory_mb:.0f} MB more memory; refused by an exception that was not foreseen: "
                f"{dict(figures.unforeseen) or 'none'}"
            )
    assert figures.undeclared == []
    assert figures.read > tried // 20
    assert figures.refused > tried // 5
    assert figures.slowest_s < MOST_S
    assert memory_mb < MOST_MEMORY_MB


def try_file(path: Path, content: bytes, name: str, figures: Figures) -> None:
    """Read a file in all ways, and note what came of it."""
    path.write_bytes(content)
    started = time.process_time()
    signal.signal(signal.SIGALRM, _interrupt)
    signal.alarm(HANGS_S)
    try:
        for read in (_read_as_image, _read_as_labels):
            try:
                read(path)
                figures.read += 1
            except CaseError as error:
                figures.refused += 1
                if not str(error).startswith(str(path)):
                    figures.undeclared.append(f"{name}: no path in: {error}")
                if "ended in" in str(error):
                    figures.unforeseen[str(error).split("ended in ")[1].split(":")[0]] += 1
    except Exception as error:  # noqa: BLE001 - that there is none is what is tested
        figures.undeclared.append(f"{name}: {type(error).__name__}: {error}")
    finally:
        signal.alarm(0)
    figures.slowest_s = max(figures.slowest_s, time.process_time() - started)


def _read_as_image(path: Path) -> None:
    """As a check and a tool read an image: a label map that is written for it lies on its grid."""
    image = read_image(path)
    describe_voxels(image, path)
    labels = np.arange(image.array.size).reshape(image.array.shape) % 7
    written = path.with_name("labels.nii.gz")
    write_labels(written, labels, image)
    assert np.array_equal(read_labels(written, image), labels)
    assert read_grid(path).distance_mm(image.grid) == 0


def _read_as_labels(path: Path) -> None:
    read_labels(path, read_grid(path), range(1, 5))
    read_label_pair(path, path)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"no answer within {HANGS_S} s")
