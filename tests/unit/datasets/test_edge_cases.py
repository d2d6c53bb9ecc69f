"""Broken and odd files of the samples, as the check of a dataset reports them."""

from pathlib import Path

import pytest

from contract.datasets import Dataset, DatasetDescription
from coordinator.datasets.check import CaseCheck, check_case

pytestmark = pytest.mark.samples
KNOWN = range(1, 118)


@pytest.fixture
def edge(samples: Path) -> Path:
    return samples / "edge_cases"


def checked(folder: Path, image: Path, labels: Path) -> CaseCheck:
    """What the check finds about one pair of files."""
    for kind, source in (("images", image), ("labels", labels)):
        (folder / kind).mkdir()
        (folder / kind / "case.nii.gz").symlink_to(source)
    table = {i: f"organ_{i}" for i in KNOWN}
    return check_case(Dataset(folder, DatasetDescription(name="edge", labels=table)), "case")


@pytest.mark.parametrize(
    ("image", "warning"),
    [
        ("ct_uint8_scaled", "8 bits"),
        ("ct_no_hu_offset", "not in HU"),
        ("ct_qform_neq_sform", "disagree"),
        ("ct_single_slice", "single slice"),
    ],
)
def test_an_odd_image_is_a_warning(image: str, warning: str, edge: Path, tmp_path: Path) -> None:
    labels = "seg_empty" if image == "ct_single_slice" else "base_seg117"
    found = checked(tmp_path, edge / f"{image}.nii.gz", edge / f"{labels}.nii.gz")

    assert any(warning in text for text in found.warnings)


def test_a_missing_orientation_is_a_warning(edge: Path, tmp_path: Path) -> None:
    found = checked(tmp_path, edge / "ct_no_form_codes.nii.gz", edge / "base_seg117.nii.gz")

    assert any("no orientation" in text for text in found.warnings)
    assert "apart" in found.errors[0]  # and its labels, which have one, no longer fit


def test_a_sound_pair_has_neither_errors_nor_warnings(edge: Path, tmp_path: Path) -> None:
    found = checked(tmp_path, edge / "base_ct.nii.gz", edge / "base_seg117.nii.gz")

    assert found.errors == ()
    assert found.warnings == ()


@pytest.mark.parametrize(("image", "reason"), [("ct_truncated", "truncated"), ("ct_badcrc", "corrupt")])
def test_a_broken_image_is_an_error(image: str, reason: str, edge: Path, tmp_path: Path) -> None:
    found = checked(tmp_path, edge / f"{image}.nii.gz", edge / "base_seg117.nii.gz")

    assert reason in found.errors[0]
