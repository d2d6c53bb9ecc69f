"""Broken and odd files: what the folder of samples says that a correct program does with each."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from contract.errors import CaseError
from contract.volumes import Volume, read_image, read_labels, write_labels

pytestmark = pytest.mark.samples
KNOWN = range(1, 118)


@pytest.fixture
def edge(samples: Path) -> Path:
    return samples / "edge_cases"


@pytest.fixture
def base(edge: Path) -> Volume:
    return read_image(edge / "base_ct.nii.gz")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ct_truncated", "truncated"),
        ("ct_badcrc", "corrupt"),
        ("ct_zero_bytes", "zero bytes"),
        ("ct_not_gzipped", "must be gzip.*compress it, or rename it"),
        ("ct_nan_inf", "5600 are NaN or infinite"),
    ],
)
def test_a_broken_image_is_refused_by_name(name: str, message: str, edge: Path) -> None:
    with pytest.raises(CaseError, match=f"{name}.nii.gz.*{message}"):
        read_image(edge / f"{name}.nii.gz")


def test_a_picture_among_the_scans_is_refused(samples: Path) -> None:
    with pytest.raises(CaseError, match=r"rgb24_picture.*RGB"):
        read_image(samples / "ts_c/rgb24_picture.nii.gz")


def test_a_mask_on_another_grid_is_refused_with_both_shapes(samples: Path) -> None:
    image = read_image(samples / "ts_c/ct.nii.gz")

    with pytest.raises(CaseError, match=r"\(233, 167, 191\).*\(120, 126, 164\)"):
        read_labels(samples / "ts_c/heart_other_grid.nii.gz", image)


@pytest.mark.parametrize(
    "name", ["ct_4d", "ct_permuted_pir", "ct_qform_only", "ct_qform_neq_sform", "ct_shear", "ct_no_form_codes"]
)
def test_an_odd_header_gives_the_same_voxels_and_is_given_back(
    name: str, edge: Path, base: Volume, tmp_path: Path
) -> None:
    image = read_image(edge / f"{name}.nii.gz")
    write_labels(tmp_path / "out.nii.gz", (image.array > 0).astype(np.uint8), image)

    written, source = nib.load(tmp_path / "out.nii.gz"), nib.load(edge / f"{name}.nii.gz")
    stored = np.asanyarray(source.dataobj).reshape(source.shape[:3])
    if name != "ct_no_form_codes":  # nibabel's fallback calls it LAS, so it is another volume in the world
        assert np.array_equal(image.array, base.array)
    assert written.shape == source.shape[:3]
    assert np.array_equal(written.affine, source.affine)
    assert written.header["sform_code"] == source.header["sform_code"]
    assert np.array_equal(np.asanyarray(written.dataobj) > 0, stored > 0)


def test_a_volume_stored_as_pir_lies_where_the_base_lies(edge: Path, base: Volume) -> None:
    image = read_image(edge / "ct_permuted_pir.nii.gz")

    assert image.stored.orientation == "PIR"
    assert np.allclose(image.grid.affine, base.grid.affine)


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("ct_no_form_codes", "no orientation"),
        ("ct_qform_neq_sform", "disagree by 30 mm; the sform was used"),
        ("ct_uint8_scaled", "slope 8.69"),
    ],
)
def test_a_note_says_how_an_odd_file_was_read(name: str, note: str, edge: Path) -> None:
    assert note in " ".join(read_image(edge / f"{name}.nii.gz").notes)


def test_float64_and_scaled_voxels_are_read_in_hu(edge: Path, base: Volume) -> None:
    exact = read_image(edge / "ct_float64.nii.gz").array
    coarse = read_image(edge / "ct_uint8_scaled.nii.gz").array

    assert np.array_equal(exact, base.array + 0.25)
    assert np.abs(coarse - base.array).max() <= 4.4


def test_a_single_slice_is_read(edge: Path) -> None:
    assert read_image(edge / "ct_single_slice.nii.gz").array.shape == (80, 70, 1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("seg_unexpected_values", r"-1 \(13333 voxels\), 300 \(1 voxels\)"),
        ("seg_wrong_shape", r"\(80, 70, 19\).*\(80, 70, 20\)"),
        ("seg_shear", "apart at the far corner"),
        ("seg_shift_1p7mm", "1.7 mm apart"),
    ],
)
def test_a_wrong_label_map_is_refused(name: str, message: str, edge: Path, base: Volume) -> None:
    with pytest.raises(CaseError, match=f"{name}.nii.gz.*{message}"):
        read_labels(edge / f"{name}.nii.gz", base, KNOWN)


@pytest.mark.parametrize("name", ["seg_flipped_x", "seg_float_labels", "seg_shift_1e-4"])
def test_an_odd_but_sound_label_map_is_the_base_map(name: str, edge: Path, base: Volume) -> None:
    truth = read_labels(edge / "base_seg117.nii.gz", base, KNOWN)

    assert np.array_equal(read_labels(edge / f"{name}.nii.gz", base, KNOWN), truth)


def test_a_sheared_label_map_fits_the_sheared_image(edge: Path, base: Volume) -> None:
    truth = read_labels(edge / "base_seg117.nii.gz", base, KNOWN)
    sheared = read_image(edge / "ct_shear.nii.gz")

    assert np.array_equal(read_labels(edge / "seg_shear.nii.gz", sheared, KNOWN), truth)


def test_an_empty_label_map_is_sound(edge: Path, base: Volume) -> None:
    assert not read_labels(edge / "seg_empty.nii.gz", base, KNOWN).any()
