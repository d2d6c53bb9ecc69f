"""A missing offset or a factor is found in what is not padding."""

from pathlib import Path

import numpy as np
import pytest

from contract.volumes import read_image, write_image
from coordinator.datasets.hounsfield import describe_voxels


@pytest.fixture(scope="module")
def hu() -> np.ndarray:
    """A body of soft tissue in air, with an organ with contrast agent, lung and some bone."""
    random = np.random.default_rng(0)
    x, y, _ = np.meshgrid(*[np.linspace(-1, 1, n) for n in (40, 36, 12)], indexing="ij")
    ct = np.where(x**2 + y**2 < 0.8, 45.0, -1000.0)
    for centre, size, value in (((-0.4, 0), 0.3, -850), ((0.4, 0), 0.25, 160), ((0, -0.6), 0.12, 900)):
        ct[(x - centre[0]) ** 2 + (y - centre[1]) ** 2 < size**2] = value
    return np.rint(ct + random.normal(0, 12, ct.shape)).clip(-1024).astype(np.int16)


def pad(array: np.ndarray, value: int | None) -> np.ndarray:
    """The corners outside of a scanner's round field of view."""
    if value is None:
        return array
    x, y, _ = np.meshgrid(*[np.linspace(-1, 1, n) for n in array.shape], indexing="ij")
    return np.where(x**2 + y**2 > 1.1, value, array)


@pytest.mark.parametrize("padding", [None, -2000, -3024, -32768, -1024, 0])
@pytest.mark.parametrize(
    ("change", "flagged"),
    [
        (lambda hu: hu, False),
        (lambda hu: hu + 1024, True),
        (lambda hu: hu * 10, True),
        (lambda hu: hu * 10 + 10240, True),
        (lambda hu: hu.clip(-1000) * 10, True),
    ],
)
def test_what_is_not_hu_is_flagged_whatever_the_padding(change, flagged: bool, padding: int | None, hu, tmp_path: Path):
    write_image(tmp_path / "a.nii.gz", pad(change(hu.astype(np.int32)), padding), np.diag([2.0, 2, 3, 1]))

    warnings = " ".join(describe_voxels(read_image(tmp_path / "a.nii.gz"), tmp_path / "a.nii.gz"))

    assert ("not in HU" in warnings) == flagged, warnings
