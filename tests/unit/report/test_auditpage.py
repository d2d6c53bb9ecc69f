"""The audit's page: every finding with a slice that shows it, turned as radiologists see it, and nothing from elsewhere."""

import io
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from contract.datasets import Dataset, open_dataset
from coordinator.datasets.audit.audit import Audit
from coordinator.datasets.audit.findings import Finding, Place, Weight
from coordinator.datasets.check import check_dataset
from coordinator.report import auditpage
from coordinator.report.auditpage import render_audit
from coordinator.report.auditpictures import CYAN, YELLOW, draw_pictures

SHAPE = (40, 30, 20)
CORNERS = {"liver": (slice(25, 35), slice(18, 26), slice(10, 18)), "spleen": (slice(4, 9), slice(4, 9), slice(2, 8))}
"""Organs in RAS+ voxels: the liver is on the right, in front and above; the spleen on the left, behind and below."""
ORIENTATIONS = ("RAS", "LPS", "PIR")


@pytest.fixture(params=ORIENTATIONS)
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> Dataset:
    folder = tmp_path / "data" / "given"
    labels = np.zeros(SHAPE, np.uint8)
    for i, corner in enumerate(CORNERS.values(), 1):
        labels[corner] = i
    for kind, array in (("images", np.where(labels, 60, -900).astype(np.int16)), ("labels", labels)):
        image = nib.Nifti1Image(array, np.diag([2.0, 2.0, 4.0, 1]))
        turn = nib.orientations.ornt_transform(
            nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(request.param)
        )
        (folder / kind).mkdir(parents=True)
        nib.save(image.as_reoriented(turn), folder / kind / "case_1.nii.gz")
    (folder / "dataset.yaml").write_text("name: given\nlabels: {1: liver, 2: spleen}\n")
    return open_dataset(tmp_path / "data", "given")


def finding(organ: str, axis: int, case: str = "case_1", place: bool = True) -> Finding:
    corner = CORNERS[organ]
    voxel = tuple((part.start + part.stop) // 2 for part in corner)
    return Finding("kind", Weight.WRONG, "text", "advice", case, organ, place=Place(voxel, axis) if place else None)


def centre_of(png: bytes, colour: tuple[int, int, int]) -> tuple[float, float]:
    """Where a colour is in a picture, as shares of its width and height."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    rows, columns = np.nonzero(np.abs(pixels - colour).sum(axis=2) < 60)
    assert len(rows), "the colour does not occur"
    return float(columns.mean() / pixels.shape[1]), float(rows.mean() / pixels.shape[0])


@pytest.mark.parametrize(
    ("axis", "columns", "rows"),
    [(2, 0, 1), (1, 0, 2), (0, 1, 2)],
    ids=["axial", "coronal", "sagittal"],
)
@pytest.mark.parametrize("organ", list(CORNERS))
def test_the_patients_right_front_and_head_are_left_left_and_up(
    organ: str, axis: int, columns: int, rows: int, dataset: Dataset
):
    shown = finding(organ, axis)

    picture = draw_pictures(dataset, [shown], 1)[shown]

    x, y = centre_of(picture.png, YELLOW)
    middle = [(part.start + part.stop) / 2 / n for part, n in zip(CORNERS[organ], SHAPE, strict=True)]
    assert (x, y) == pytest.approx((1 - middle[columns], 1 - middle[rows]), abs=0.03)


def test_other_organs_are_outlined_too_and_a_picture_has_the_bodys_proportions(dataset: Dataset):
    shown = Finding("kind", Weight.ODD, "text", "advice", "case_1", "liver", place=Place((6, 6, 5), 1))

    picture = draw_pictures(dataset, [shown], 1)[shown]

    centre_of(picture.png, CYAN)
    assert Image.open(io.BytesIO(picture.png)).size == (320, 320)  # 80 mm x 80 mm
    assert picture.alt == "coronal slice 6 of case_1 with the outline of liver"


def test_without_a_place_the_slice_with_most_of_the_organ_is_shown(dataset: Dataset):
    shown = finding("spleen", 2, place=False)

    picture = draw_pictures(dataset, [shown], 1)[shown]

    assert picture.alt == "axial slice 2 of case_1 with the outline of spleen"


def test_the_page_holds_everything_and_names_are_only_text(dataset: Dataset, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(auditpage, "MOST_PICTURES", 2)
    broken = Finding("unreadable", Weight.UNUSABLE, "file <b>cut</b> & short", "copy it", "case_9")
    findings = (
        broken,
        finding("liver", 2),
        finding("spleen", 2),
        Finding("whole", Weight.ODD, "all", "see", number=3.14159, unit="mm"),
    )
    page = render_audit([Audit(dataset, check_dataset(dataset), findings)], 1)

    assert "file &lt;b&gt;cut&lt;/b&gt; &amp; short" in page
    assert page.count("<img ") == 1  # of two that get one, one case can't be read
    assert "Only the first 2 have a picture" in page
    assert "3.14 mm" in page
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "http" not in re.sub(r"data:image/png;base64,[^\"]*", "", page)
