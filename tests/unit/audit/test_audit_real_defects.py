"""Defects that are planted into real scans: thresholds that hold for phantoms alone would prove nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.auditfiles import Case
from helpers.filedefects import DEFECTS

from contract.volumes import Volume, read_image
from coordinator.datasets.audit.files.casefiles import judge_files, measure_files

pytestmark = pytest.mark.samples
SCANS = ("ts_a", "ts_c", "crlm_1006", "cip_64", "elastix")
PLANTED = (
    "offset missing", "offset missing, clipped at 0", "offset subtracted twice", "ten times", "ten times with offset",
    "a tenth", "negated", "negated with offset", "sign lost", "0 to 1", "-1 to 1", "z-score", "picture",
    "something else", "soft-tissue window", "wide window", "clipped at 200", "constant", "padding", "filled with 0",
    "slice twice", "slices missing", "slices shuffled", "slice of another scan", "blank slice",
)  # fmt: skip


def judge(image: Volume) -> set[str]:
    """Kinds of the findings on an image."""
    return {finding.kind for finding in judge_files({"a": measure_files(image, Path("a.nii.gz"), None, None)})}


@pytest.fixture(scope="module", params=SCANS)
def scan(request: pytest.FixtureRequest, samples: Path) -> Volume:
    return read_image(samples / request.param / "ct.nii.gz")


def test_a_real_scan_has_no_findings(scan: Volume) -> None:
    assert judge(scan) == set()


@pytest.mark.parametrize("name", PLANTED)
def test_a_defect_of_a_real_scan_is_found_and_nothing_else(name: str, scan: Volume) -> None:
    case = Case(scan.array.copy(), np.zeros(scan.grid.shape, np.uint8), scan.grid.affine)
    DEFECTS[name].change(case)

    found = judge(replace(scan, array=case.image, grid=replace(scan.grid, shape=case.image.shape)))

    assert found == set(DEFECTS[name].kinds)


def test_a_crop_within_the_body_is_odd_at_most(samples: Path) -> None:
    scan = read_image(samples / "ts_a" / "ct.nii.gz")
    crop = scan.array[80:96, 46:60, 84:96]

    odd = judge(replace(scan, array=crop, grid=replace(scan.grid, shape=crop.shape)))
    offset = judge(replace(scan, array=crop + 1024, grid=replace(scan.grid, shape=crop.shape)))

    assert crop.min() > -200
    assert odd == {"no-air"}
    assert offset == {"not-hu"}


def test_much_noise_is_odd_at_most(scan: Volume) -> None:
    noise = np.random.default_rng(0).normal(0, 150, scan.grid.shape)

    found = judge(replace(scan, array=np.rint(scan.array + noise).astype(np.int16)))

    # The fifth has hardly any air, and none that noise makes less dense than air.
    assert found == (set() if scan.grid.shape == (120, 126, 164) else {"below-air"})


@pytest.mark.parametrize("factor", [2, 4])
def test_a_scale_that_no_change_explains_is_not_hu(factor: int, scan: Volume) -> None:
    assert judge(replace(scan, array=scan.array * factor)) == {"not-hu"}
