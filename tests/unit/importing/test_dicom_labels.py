"""SEG and RTSTRUCT: holes, overlaps, shares, names of organs, and labels that don't fit their images."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.dicomcases import SHAPE, draw, import_into_data, label_map, place
from helpers.dicomlabels import draw_contours, write_seg
from helpers.dicomseries import write_ct, write_rtstruct
from numpy.typing import NDArray
from pydicom import dcmread

from contract.datasets import open_dataset
from coordinator.datasets.importing.dicom.contours import fill

Captured = pytest.CaptureFixture[str]
Mask = NDArray[np.bool_]


def box(x: tuple[int, int], y: tuple[int, int], z: tuple[int, int]) -> Mask:
    mask = np.zeros(SHAPE, np.bool_)
    mask[slice(*x), slice(*y), slice(*z)] = True
    return mask


def write_scan(tmp_path: Path, name: str = "p1") -> list[Path]:
    return write_ct(tmp_path / "s" / name / "ct", draw(1, place())[0], place(), key=name)


def read_stored(tmp_path: Path) -> NDArray[np.generic]:
    """Labels of the only case, in the order of (column, row, slice)."""
    return np.asarray(nib.load(tmp_path / "data" / "s" / "labels" / "p1.nii.gz").dataobj)


@pytest.mark.parametrize("kind", ["SEG", "RTSTRUCT"])
def test_a_voxel_in_two_structures_goes_to_the_smaller_one_and_is_counted(kind: str, tmp_path: Path, capfd: Captured):
    slices = write_scan(tmp_path)
    liver, tumour = box((5, 20), (6, 30), (2, 9)), box((15, 24), (10, 14), (4, 8))
    expected = np.where(tumour, 2, liver.astype(int))
    if kind == "SEG":
        write_seg(tmp_path / "s" / "p1" / "seg.dcm", slices, {"Liver": liver, "Tumour": tumour})
    else:
        contours = {"Liver": draw_contours(liver, place()), "Tumour": draw_contours(tumour, place())}
        write_rtstruct(tmp_path / "s" / "p1" / "rt.dcm", slices[0], contours)

    ended = import_into_data(capfd, tmp_path / "s")

    record = json.loads((tmp_path / "data" / "s" / "import.json").read_text())
    assert (ended.code, ended.err) == (0, "")
    assert np.array_equal(read_stored(tmp_path), expected)
    assert record["cases"]["p1"]["voxels_in_several_masks"] == 5 * 4 * 4
    assert record["cases"]["p1"]["overlaps"] == {"tumour > liver": 80}
    assert "fewest voxels" in record["merge_rule"]


def test_organs_are_named_as_segments_are_and_numbered_over_all_cases(tmp_path: Path, capfd: Captured):
    first, second = write_scan(tmp_path), write_scan(tmp_path, "p2")
    one, two = box((5, 9), (6, 9), (2, 4)), box((15, 24), (10, 14), (4, 8))
    write_seg(tmp_path / "s" / "p1" / "seg.dcm", first, {"Kidney, left": one, " LIVER (whole)": two})
    contours = {"Spleen-1": draw_contours(one, place()), "kidney_left": draw_contours(two, place())}
    write_rtstruct(tmp_path / "s" / "p2" / "rt.dcm", second[0], contours)

    ended = import_into_data(capfd, tmp_path / "s")

    dataset = open_dataset(tmp_path / "data", "s")
    assert dataset.labels == {1: "kidney_left", 2: "liver_whole", 3: "spleen_1"}
    assert np.array_equal(read_stored(tmp_path), one + 2 * two.astype(int))
    assert "note: not all cases have a segment of: liver_whole (in 1 of 2), spleen_1 (in 1 of 2)" in ended.out


def test_shares_of_a_voxel_count_from_one_half_on_and_that_is_said(tmp_path: Path, capfd: Captured):
    slices = write_scan(tmp_path)
    shares = np.zeros(SHAPE, np.float32)
    shares[3:9, 4, 5], shares[3:9, 5, 5], shares[3:9, 6, 5] = 0.3, 0.6, 1
    write_seg(tmp_path / "s" / "p1" / "seg.dcm", slices, {"Liver": shares}, kind="FRACTIONAL")

    ended = import_into_data(capfd, tmp_path / "s")

    assert "note: 1 SEG objects give a share for each voxel: voxels of at least one half are taken" in ended.out
    assert np.array_equal(read_stored(tmp_path), shares >= 0.5)


def test_a_segmentation_that_is_stored_as_a_label_map_is_read_as_well(tmp_path: Path, capfd: Captured):
    slices = write_scan(tmp_path)
    _, masks = draw(1, place())
    write_seg(tmp_path / "s" / "p1" / "seg.dcm", slices, masks, kind="LABELMAP")

    assert import_into_data(capfd, tmp_path / "s").code == 0
    assert np.array_equal(read_stored(tmp_path), label_map(masks))


def test_a_segmentation_of_slices_in_another_order_and_direction_lies_where_it_should(tmp_path: Path, capfd: Captured):
    """The SEG is of a copy of the series whose rows run the other way; it refers to the series by its UID."""
    write_scan(tmp_path)
    turned = place().copy()
    turned[:3, 0], turned[:3, 3] = -turned[:3, 0], turned[:3, 3] + turned[:3, 0] * (SHAPE[0] - 1)
    others = write_ct(tmp_path / "turned", draw(1, turned)[0], turned, key="p1")
    mask = box((5, 20), (6, 30), (2, 9)) & ~box((5, 9), (6, 12), (2, 5))
    write_seg(tmp_path / "s" / "p1" / "seg.dcm", others[::-1], {"Liver": mask[::-1, :, ::-1]})

    assert import_into_data(capfd, tmp_path / "s").code == 0
    assert np.array_equal(read_stored(tmp_path), mask)


def test_a_contour_within_another_is_a_hole_and_one_within_that_is_an_island(tmp_path: Path, capfd: Captured):
    slices = write_scan(tmp_path)
    ring = box((5, 25), (6, 30), (2, 9)) & ~box((9, 20), (10, 25), (2, 9)) | box((12, 15), (14, 19), (2, 9))
    write_rtstruct(tmp_path / "s" / "p1" / "rt.dcm", slices[0], {"ring": draw_contours(ring, place())})

    assert import_into_data(capfd, tmp_path / "s").code == 0
    assert np.array_equal(read_stored(tmp_path), ring)


def test_a_contour_through_the_centres_of_voxels_encloses_them():
    corners = np.array([[2, 3], [6, 3], [6, 8], [2, 8]], float)
    expected = np.zeros((10, 11), np.bool_)
    expected[2:7, 3:9] = True

    assert np.array_equal(fill([corners], (10, 11)), expected)
    assert np.array_equal(fill([corners[::-1]], (10, 11)), expected)
    for moved in (0.014, -0.014):  # two decimals of a mm, in pixels of 0.35 mm
        assert np.array_equal(fill([corners + moved * np.array([1, -1])], (10, 11)), expected)
    hole = np.array([[3, 5], [5, 5], [5, 7], [3, 7]], float)
    expected[4, 6] = False
    assert np.array_equal(fill([corners, hole], (10, 11)), expected)
    assert np.argwhere(fill([np.array([[2, 2], [2.4, 2], [2, 2.4]])], (10, 11))).tolist() == [[2, 2]]


def test_a_circle_has_the_area_that_it_encloses_and_is_cut_at_the_border_of_the_slice():
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    circle = 20 * np.column_stack([np.cos(angles), np.sin(angles)])
    x, y = np.indices((60, 50))
    distance, distance_of_cut = np.hypot(x - 30.3, y - 25.6), np.hypot(x - 0.3, y - 25.6)

    filled = fill([circle + np.array([30.3, 25.6])], (60, 50))
    cut = fill([circle + np.array([0.3, 25.6])], (60, 50))

    # A polygon of 200 corners lies up to 0.003 within its circle; centres up to 0.03 off count as on it.
    assert filled[distance < 19.99].all()
    assert not filled[distance > 20.03].any()
    assert abs(filled.sum() / (np.pi * 20**2) - 1) < 0.01
    assert cut[distance_of_cut < 19.99].all()
    assert not cut[distance_of_cut > 20.03].any()


def test_points_and_open_lines_are_no_organs_and_are_named(tmp_path: Path, capfd: Captured):
    slices = write_scan(tmp_path)
    path = tmp_path / "s" / "p1" / "rt.dcm"
    write_rtstruct(
        path,
        slices[0],
        {"Liver": draw_contours(box((5, 20), (6, 30), (2, 9)), place()), "ISO centre": [np.zeros((1, 3))]},
    )
    header = dcmread(path)
    header.ROIContourSequence[1].ContourSequence[0].ContourGeometricType = "POINT"
    header.save_as(path)

    ended = import_into_data(capfd, tmp_path / "s")

    assert "note: structures without a closed contour are no organs, and left out: iso_centre" in ended.out
    assert open_dataset(tmp_path / "data", "s").labels == {1: "liver"}


@pytest.mark.parametrize(
    ("shift_mm", "message"),
    [
        (1.7, "contours must lie on the slices of the images, but one of liver is 1.7 mm off the nearest"),
        (200.0, "contours must lie on the slices of the images, but one of liver lies beyond the last one"),
    ],
)
def test_a_contour_off_the_slices_sets_its_case_aside(shift_mm: float, message: str, tmp_path: Path, capfd: Captured):
    slices = write_scan(tmp_path)
    contours = [points + np.array([0, 0, shift_mm]) for points in draw_contours(box((5, 20), (6, 30), (2, 9)), place())]
    write_rtstruct(tmp_path / "s" / "p1" / "rt.dcm", slices[0], {"Liver": contours})

    ended = import_into_data(capfd, tmp_path / "s")

    assert ended.code == 3
    assert f"p1: series 3: {message}" in ended.err


@pytest.mark.parametrize(
    ("column", "by_mm", "message"),
    [
        (3, [1.3, 0, 0], "segments must lie on the voxels of the images, but a frame is 1.3 mm off them, with pixels of 8.4 x 9.1 mm"),
        (3, [0, 0, 12.5 * 9], "segments must lie within the images, but 360 voxels of a frame lie outside"),
        (0, [0.2, 0, 0], "with pixels of 8.2 x 9.1 mm; export it on the grid of the images"),
    ],
    ids=["shifted", "beyond", "of another size"],
)  # fmt: skip
def test_a_segmentation_on_other_voxels_sets_its_case_aside(
    column: int, by_mm: list[float], message: str, tmp_path: Path, capfd: Captured
):
    write_scan(tmp_path)
    other = place()
    other[:3, column] += by_mm
    slices = write_ct(tmp_path / "other", draw(1, other)[0], other, key="p1")
    write_seg(tmp_path / "s" / "p1" / "seg.dcm", slices, {"Liver": box((5, 20), (6, 30), (2, 9))})

    ended = import_into_data(capfd, tmp_path / "s")

    assert ended.code == 3
    assert message in ended.err


def test_two_label_objects_of_a_series_are_listed_and_not_guessed(tmp_path: Path, capfd: Captured):
    slices = write_scan(tmp_path)
    mask = box((5, 20), (6, 30), (2, 9))
    write_seg(tmp_path / "s" / "p1" / "a" / "seg.dcm", slices, {"Liver": mask})
    write_rtstruct(tmp_path / "s" / "p1" / "b" / "rt.dcm", slices[0], {"Liver": draw_contours(mask, place())})

    ended = import_into_data(capfd, tmp_path / "s")

    assert ended.code == 2
    assert "  p1/ct: p1/a/seg.dcm (SEG), p1/b/rt.dcm (RTSTRUCT)\nMove the others out of SRC." in ended.err


def test_labels_that_name_no_series_are_found_by_their_frame_of_reference_and_others_are_counted(
    tmp_path: Path, capfd: Captured
):
    slices, others = write_scan(tmp_path), write_scan(tmp_path, "p2")
    mask = box((5, 20), (6, 30), (2, 9))
    path = tmp_path / "s" / "labels" / "1.dcm"
    write_seg(path, slices, {"Liver": mask})
    header = dcmread(path)
    del header.ReferencedSeriesSequence
    header.save_as(path)
    write_seg(tmp_path / "s" / "labels" / "2.dcm", others, {"Liver": mask})
    for file in others:
        file.unlink()

    ended = import_into_data(capfd, tmp_path / "s")

    assert (ended.code, ended.err) == (0, "")
    assert "left out: 1: labels of no CT series here, or of several: SEG" in ended.out
    assert np.array_equal(read_stored(tmp_path), mask)


def test_two_segments_of_one_name_set_their_case_aside(tmp_path: Path, capfd: Captured):
    slices = write_scan(tmp_path)
    write_seg(
        tmp_path / "s" / "p1" / "seg.dcm",
        slices,
        {"Kidney": box((1, 4), (1, 4), (1, 4)), "kidney ": box((9, 12), (1, 4), (1, 4))},
    )

    ended = import_into_data(capfd, tmp_path / "s")

    assert ended.code == 3
    assert "p1: SEG of series 3: organs must have different names, but kidney came twice; rename them" in ended.err
