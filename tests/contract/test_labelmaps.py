"""Label maps of wide numbers are converted in blocks: memory is that of the ids, not of the numbers."""

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.niftibytes import nifti_bytes

from contract.errors import CaseError
from contract.labelmaps import MOST_LISTED
from contract.niftifiles import BLOCK
from contract.volumes import read_grid, read_labels

PLAIN = np.diag([2.0, 3, 4, 1])
SHAPE = (256, 128, 128)
MEASURE = """
import resource, sys
from pathlib import Path
from contract.volumes import read_grid, read_labels
grid = read_grid(Path(sys.argv[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
labels = read_labels(Path(sys.argv[1]), grid, range(1, 9))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000 / (labels.size / 1e6))
"""


def save(path: Path, array: np.ndarray) -> Path:
    path.write_bytes(gzip.compress(nifti_bytes(array, PLAIN), 1))
    return path


def test_a_label_map_of_float64_takes_a_few_bytes_a_voxel(tmp_path: Path):
    labels = np.zeros(SHAPE, np.float64)
    labels[20:90, 30:60, 40:90] = 5
    file = save(tmp_path / "a.nii.gz", labels)

    done = subprocess.run([sys.executable, "-c", MEASURE, str(file)], capture_output=True, text=True, check=True)

    # 8 bytes a voxel are stored; 21 were taken. Two maps of 1 byte, one of 2, and blocks of a few MB remain.
    assert float(done.stdout) < 10


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32, np.int64, np.uint32, np.float32, np.float64])
def test_ids_are_the_same_for_every_type(kind: type, tmp_path: Path):
    labels = np.random.default_rng(0).integers(0, 100, (130, 120, 80))
    assert labels.size > BLOCK
    file = save(tmp_path / "a.nii.gz", labels.astype(kind))

    back = read_labels(file, read_grid(file))

    assert back.dtype == np.uint8
    assert np.array_equal(back, labels)


def test_noise_is_refused_with_a_short_message(tmp_path: Path):
    noise = np.random.default_rng(0).integers(70_000, 2**31, (30, 30, 30))
    file = save(tmp_path / "a.nii.gz", noise.astype(np.int32))

    with pytest.raises(CaseError, match="label ids must lie in 0..65535") as raised:
        read_labels(file, read_grid(file))

    assert str(raised.value).count("voxels)") == MOST_LISTED
    assert "and more" in str(raised.value)


def test_numbers_that_are_no_integers_are_counted_over_all_blocks(tmp_path: Path):
    labels = np.zeros((130, 120, 80), np.float32)
    labels[0, 0, 0], labels[-1, -1, -1], labels[5, 5, 5] = 0.5, np.nan, np.inf
    file = save(tmp_path / "a.nii.gz", labels)

    with pytest.raises(CaseError, match=r"a.nii.gz: labels must be integers \(within 0.001\), but 3 voxels are not"):
        read_labels(file, read_grid(file))
