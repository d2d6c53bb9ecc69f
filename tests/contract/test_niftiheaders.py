"""Headers are judged before a voxel is read: odd ones are read with a note, wrong ones are the failure of their case."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.niftibytes import (
    OBLIQUE,
    PIXDIM,
    QFORM_CODE,
    QUATERNION,
    SCALE,
    SFORM,
    SFORM_CODE,
    UNITS,
    VOX_OFFSET,
    Edit,
    append,
    dims,
    nifti_bytes,
    pack,
    save_gz,
)
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from contract import niftifiles
from contract.errors import CaseError
from contract.fingerprints import input_digest
from contract.volumes import read_grid, read_image, read_labels, write_labels

HU = np.random.default_rng(4).integers(-1000, 1500, (7, 6, 5), np.int16)
PLAIN = np.diag([2.0, 3, 4, 1])
TURNED = np.diag([-2.0, -2, 3, 1])
"""Its quaternion is (0, 0, 0, 1): a rounding error makes it too long."""
NAN, INF = float("nan"), float("inf")


def qform_only(*edits: Edit) -> tuple[Edit, ...]:
    return pack(SFORM_CODE, "h", 0), *edits


@pytest.mark.parametrize("sform_code", [0, 1])
@pytest.mark.parametrize("excess", [5e-7, 1.5e-6, 1e-4])
def test_a_quaternion_too_long_by_rounding_is_read_as_one_of_length_1(excess: float, sform_code: int, tmp_path: Path):
    edits = pack(SFORM_CODE, "h", sform_code), pack(QUATERNION, "3f", 0, 0, np.sqrt(1 + excess))
    image = read_image(save_gz(tmp_path / "a.nii.gz", nifti_bytes(HU, TURNED, *edits)))

    write_labels(tmp_path / "out.nii.gz", np.ones(HU.shape, np.uint8), image)

    assert np.allclose(image.stored.affine, TURNED, atol=1e-4)
    assert "quaternion is too long" in " ".join(image.notes)
    assert np.allclose(nib.load(tmp_path / "out.nii.gz").get_qform(), TURNED, atol=1e-4)


def test_a_quaternion_that_is_no_rotation_is_refused_where_it_counts(tmp_path: Path):
    edit = pack(QUATERNION, "3f", 0.9, 0.9, 0.9)

    with pytest.raises(CaseError, match=r"a.nii.gz: .*quaternion must have a length of at most 1, but has 1.5588"):
        read_image(save_gz(tmp_path / "a.nii.gz", nifti_bytes(HU, OBLIQUE, *qform_only(edit))))
    image = read_image(save_gz(tmp_path / "b.nii.gz", nifti_bytes(HU, OBLIQUE, edit)))
    assert np.allclose(image.grid.affine, OBLIQUE, atol=1e-5)
    assert "qform is unsound" in " ".join(image.notes)


@pytest.mark.parametrize(("code", "factor"), [(1, 1e-3), (3, 1e3)])
def test_other_units_are_converted_to_mm_with_a_note(code: int, factor: float, tmp_path: Path):
    scaled = OBLIQUE.copy()
    scaled[:3] *= factor
    file = save_gz(tmp_path / "a.nii.gz", nifti_bytes(HU, scaled, pack(UNITS, "B", code)))
    mm = read_image(save_gz(tmp_path / "mm.nii.gz", nifti_bytes(HU, OBLIQUE)))

    image = read_image(file)
    write_labels(tmp_path / "out.nii.gz", (image.array > 0).astype(np.uint8), image)

    assert np.allclose(image.grid.affine, OBLIQUE, atol=1e-4)
    assert image.spacing_mm == pytest.approx(mm.spacing_mm, abs=1e-5)
    assert "converted to mm" in " ".join(image.notes)
    assert np.array_equal(read_labels(tmp_path / "out.nii.gz", mm), HU > 0)


def test_unknown_units_are_mm_without_a_note_and_undefined_ones_with_one(tmp_path: Path):
    unknown = read_image(save_gz(tmp_path / "a.nii.gz", nifti_bytes(HU, PLAIN, pack(UNITS, "B", 0))))
    undefined = read_image(save_gz(tmp_path / "b.nii.gz", nifti_bytes(HU, PLAIN, pack(UNITS, "B", 255))))

    assert unknown.notes == ()
    assert "unit 7 of xyzt_units is not defined" in " ".join(undefined.notes)
    assert np.array_equal(unknown.grid.affine, undefined.grid.affine)


@pytest.mark.parametrize(
    ("affine", "units", "message"),
    [
        (np.diag([1000.0, 1000, 2000, 1]), 2, "voxel sizes must lie in 0.01 to 100 mm.*1000, 1000, 2000 mm"),
        (np.diag([0.001, 0.001, 0.002, 1]), 2, "voxel sizes must lie"),
        (np.diag([0.8, 0.8, 5, 1]), 1, "voxel sizes .* are 800, 800, 5000 mm .the header's unit is meter.*xyzt_units"),
        (np.diag([1.0, 1, 3e38, 1]), 2, "voxel sizes must lie|singular"),
        (np.diag([1.0, 1, 1e-38, 1]), 2, "voxel sizes must lie|singular"),
        (np.array([[1.0, 0, 0, 1e30], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), 2, "the origin's coordinates"),
    ],
)
def test_a_geometry_that_no_ct_has_is_refused(affine: np.ndarray, units: int, message: str, tmp_path: Path):
    edits = pack(QFORM_CODE, "h", 0), pack(SFORM, "12f", *affine[:3].ravel()), pack(UNITS, "B", units)

    with pytest.raises(CaseError, match=f"a.nii.gz: .*({message})"):
        read_image(save_gz(tmp_path / "a.nii.gz", nifti_bytes(HU, OBLIQUE, *edits)))


@pytest.mark.parametrize("row", [[0.0] * 12, [NAN, *[0.0] * 11], [1.0] * 12, [INF] * 12])
def test_an_unsound_sform_beside_a_good_qform_is_passed_over_with_a_note(row: list[float], tmp_path: Path):
    rigid = np.diag([-2.0, 2, 3, 1])
    file = save_gz(tmp_path / "a.nii.gz", nifti_bytes(HU, rigid, pack(SFORM, "12f", *row)))

    image = read_image(file)
    write_labels(tmp_path / "out.nii.gz", np.ones(HU.shape, np.uint8), image)

    assert np.allclose(image.stored.affine, rigid)
    assert "the qform was used" in " ".join(image.notes)
    assert np.allclose(nib.load(tmp_path / "out.nii.gz").affine, rigid)


def test_two_unsound_forms_are_refused(tmp_path: Path):
    edits = pack(SFORM, "12f", *[0] * 12), pack(QUATERNION, "3f", NAN, 0, 0)

    with pytest.raises(CaseError, match=r"a.nii.gz: affine must span three dimensions"):
        read_image(save_gz(tmp_path / "a.nii.gz", nifti_bytes(HU, OBLIQUE, *edits)))


@pytest.mark.parametrize("sizes", [(0, 0, 0), (2, 2, 0), (NAN, 2, 2), (INF, 2, 2)])
@pytest.mark.parametrize("qform_code", [0, 1])
def test_voxel_sizes_that_are_missing_are_refused_where_they_count(
    sizes: tuple[float, ...], qform_code: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    edits = pack(PIXDIM + 4, "3f", *sizes), pack(QFORM_CODE, "h", qform_code)

    with pytest.raises(CaseError, match=r"a.nii.gz: affine must be given.*voxel sizes"):
        read_image(save_gz(tmp_path / "a.nii.gz", nifti_bytes(HU, OBLIQUE, *qform_only(*edits))))

    image = read_image(save_gz(tmp_path / "b.nii.gz", nifti_bytes(HU, OBLIQUE, *edits)))
    write_labels(tmp_path / "out.nii.gz", np.ones(HU.shape, np.uint8), image)
    assert np.allclose(image.grid.affine, OBLIQUE, atol=1e-5)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("stored", "sign"), [(0, 1), (-2, -1), (5, 1), (NAN, 1)])
def test_pixdim_0_is_taken_by_its_sign_with_a_note(stored: float, sign: int, tmp_path: Path):
    file = save_gz(
        tmp_path / "a.nii.gz", nifti_bytes(HU, np.diag([2.0, 2, 3, 1]), *qform_only(pack(PIXDIM, "f", stored)))
    )

    image = read_image(file)

    assert np.allclose(image.stored.affine, np.diag([2, 2, 3 * sign, 1]))
    assert "pixdim[0] must be 1 or -1" in " ".join(image.notes)


def test_negative_voxel_sizes_are_taken_as_positive_with_a_note(tmp_path: Path):
    edits = qform_only(pack(PIXDIM + 4, "3f", 2, -2, 3))

    image = read_image(save_gz(tmp_path / "a.nii.gz", nifti_bytes(HU, np.diag([2.0, 2, 3, 1]), *edits)))

    assert image.spacing_mm == (2, 2, 3)
    assert "taken as positive" in " ".join(image.notes)


def test_slices_along_the_fourth_axis_are_read_with_a_note(tmp_path: Path):
    plain = read_image(save_gz(tmp_path / "a.nii.gz", nifti_bytes(HU)))
    image = read_image(save_gz(tmp_path / "b.nii.gz", nifti_bytes(HU, OBLIQUE, dims(7, 6, 1, 5))))

    assert np.array_equal(image.array, plain.array)
    assert "the shape (7, 6, 1, 5) was read as (7, 6, 5)" in " ".join(image.notes)


@pytest.mark.parametrize(
    ("shape", "units", "advice"),
    [
        ((7, 6, 1, 5), 2 | 8, r"one slice at 5 times; take one time, or save it as \(7, 6, 5\)"),
        ((7, 6, 5, 1, 2), 2, r"one number a voxel.*2 numbers a voxel"),
        ((7, 3, 5, 2), 2, "split it into one file a volume"),
        ((7, 30), 2, "a picture; stack its slices"),
        ((7, -6, 5), 2, r"must have voxels along all axes, but its shape is \(7, -6, 5\)"),
        ((7, 0, 5), 2, "must have voxels along all axes"),
    ],
)
def test_other_shapes_are_refused_with_advice_that_fits(
    shape: tuple[int, ...], units: int, advice: str, tmp_path: Path
):
    edits = dims(*shape), pack(UNITS, "B", units)

    with pytest.raises(CaseError, match=f"a.nii.gz: .*{advice}"):
        read_image(save_gz(tmp_path / "a.nii.gz", nifti_bytes(HU, OBLIQUE, *edits)))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (pack(40, "h", 0), "must have 1 to 7 axes"),
        (pack(40, "h", -3), "NIfTI|must have 1 to 7 axes"),
        (dims(2000, 2000, 2000), "voxels are missing: the header announces"),
        (dims(32767, 32767, 32767), "extents must lie in 0 to 10000 mm"),
        (dims(300, 300, 300), "voxels are missing"),
        (pack(VOX_OFFSET, "f", 1e9), "vox_offset must lie in 352 to"),
        (pack(VOX_OFFSET, "f", 6e7), "voxels are missing"),
        (pack(VOX_OFFSET, "f", NAN), "vox_offset must lie in 352 to 67108864, but it is nan"),
        (pack(VOX_OFFSET, "f", -8), "vox_offset must lie in 352 to"),
        (pack(344, "4s", b"ni1\0"), "header of a pair"),
        (pack(344, "4s", b"xyz\0"), "magic string"),
        (pack(70, "h", 777), "a type that NIfTI knows"),
        (pack(70, "h", 1), "type that NIfTI knows|one number a voxel"),
        (pack(SCALE, "2f", 2, NAN), "scale must be finite"),
        (pack(SCALE, "2f", 3e38, 0), "NaN or infinite"),
    ],
)
def test_a_header_that_announces_nonsense_is_refused_by_name(edit: Edit, message: str, tmp_path: Path):
    with pytest.raises(CaseError, match=f"a.nii.gz: .*({message})"):
        read_image(save_gz(tmp_path / "a.nii.gz", nifti_bytes(HU, OBLIQUE, edit)))


@pytest.mark.parametrize("size", [0, 3, 100, 347])
def test_a_file_shorter_than_a_header_is_refused(size: int, tmp_path: Path):
    with pytest.raises(CaseError, match=f"a.nii.gz: file must be NIfTI, but has {size} bytes"):
        read_image(save_gz(tmp_path / "a.nii.gz", nifti_bytes(HU)[:size]))


def test_an_offset_of_0_is_where_voxels_begin_in_most_files(tmp_path: Path):
    image = read_image(save_gz(tmp_path / "a.nii.gz", nifti_bytes(HU, OBLIQUE, pack(VOX_OFFSET, "f", 0))))

    assert np.array_equal(image.array, HU)
    assert "vox_offset is 0" in " ".join(image.notes)


def test_bytes_behind_the_voxels_are_passed_over_with_a_note(tmp_path: Path):
    image = read_image(save_gz(tmp_path / "a.nii.gz", nifti_bytes(HU, PLAIN, append(b"x" * 5000))))

    assert np.array_equal(image.array, HU)
    assert image.notes == ("5000 further bytes behind the voxels were passed over",)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize(("slope", "intercept"), [(2, 0), (0.037, -1024), (1, 5)])
def test_a_scale_is_applied_as_nibabel_applies_it(kind: type, slope: float, intercept: float, tmp_path: Path):
    stored = (HU % 200).astype(kind)
    file = save_gz(
        tmp_path / "a.nii.gz", nifti_bytes(stored, np.diag([2.0, 3, 4, 1]), pack(SCALE, "2f", slope, intercept))
    )

    array = read_image(file).array

    expected = np.asarray(nib.load(file).dataobj, dtype=np.float32)
    assert array.dtype == np.float32
    assert array.tobytes() == np.ascontiguousarray(expected).tobytes()


@pytest.mark.parametrize(
    "make",
    [
        os.mkfifo,
        Path.mkdir,
        lambda p: p.symlink_to("gone.nii.gz"),
        lambda p: p.symlink_to("/dev/zero"),
        lambda p: p.symlink_to(p.name),
    ],
)
def test_what_is_no_regular_file_is_refused_without_opening_it(make, tmp_path: Path):
    path = tmp_path / "a.nii.gz"
    make(path)

    with pytest.raises(CaseError, match=r"a.nii.gz: file must be readable, but: it is a"):
        read_image(path)


def test_a_grid_comes_from_the_header_alone(tmp_path: Path):
    image = nib.Nifti1Image(HU, OBLIQUE).as_reoriented(ornt_transform(io_orientation(OBLIQUE), axcodes2ornt("PIL")))
    content = nifti_bytes(np.asarray(image.dataobj), image.affine)
    file = save_gz(tmp_path / "a.nii.gz", content)
    whole = read_image(file)
    file.write_bytes(file.read_bytes()[:-9])

    assert read_grid(file).shape == whole.grid.shape == (7, 6, 5)
    assert np.array_equal(read_grid(file).affine, whole.grid.affine)


def test_a_tool_does_not_wait_for_a_pipe_that_it_should_digest(tmp_path: Path):
    os.mkfifo(tmp_path / "a.nii.gz")

    assert input_digest(tmp_path / "a.nii.gz") == "unreadable: it is a named pipe; put the file itself there"


def test_a_volume_larger_than_free_memory_is_refused_before_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(niftifiles, "SMALL", 0)
    monkeypatch.setattr(niftifiles, "available_memory", lambda: 400)
    file = save_gz(tmp_path / "a.nii.gz", nifti_bytes(HU))

    with pytest.raises(CaseError, match=r"a.nii.gz: volume must fit into memory, but does not \(0.0 GB are needed"):
        read_image(file)
    with pytest.raises(CaseError, match=r"a.nii.gz: volume must fit into memory"):
        read_labels(file, read_grid(file))
