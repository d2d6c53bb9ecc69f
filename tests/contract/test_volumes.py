"""Reading and writing volumes: geometry is asymmetric and oblique throughout, so that flips and transposes show."""

import gzip
import importlib
import itertools
from itertools import pairwise
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from contract import gzipfiles
from contract.errors import CaseError, ContractError
from contract.grids import Grid, canonical_orientation, inverse_orientation, orient, orient_grid
from contract.volumes import read_image, read_label_pair, read_labels, write_image, write_labels

OBLIQUE = np.array([[1.5, 0.3, 0.1, -9], [-0.3, 1.4, 0.2, 5], [0.1, -0.1, 2.5, 40], [0, 0, 0, 1]], np.float64)
ORIENTATIONS = [
    "".join(axes) for flips in itertools.product("LR", "PA", "IS") for axes in itertools.permutations(flips)
]


@pytest.fixture
def hu() -> np.ndarray:
    return np.random.default_rng(3).integers(-1000, 1500, (7, 6, 5), np.int16)


def save(path: Path, array: np.ndarray, affine: np.ndarray, sform: int = 1, qform: int = 1) -> Path:
    image = nib.Nifti1Image(array, affine)
    image.set_sform(affine, code=sform)
    image.set_qform(affine, code=qform)
    nib.save(image, path)
    return path


def stored_as(axes: str, array: np.ndarray, affine: np.ndarray) -> nib.Nifti1Image:
    image = nib.Nifti1Image(array, affine)
    turn = ornt_transform(io_orientation(affine), axcodes2ornt(axes))
    return image.as_reoriented(turn)


@pytest.mark.parametrize("axes", ORIENTATIONS)
def test_every_orientation_is_read_as_the_same_ras_volume_and_given_back(
    axes: str, hu: np.ndarray, tmp_path: Path
) -> None:
    nib.save(stored_as(axes, hu, OBLIQUE), tmp_path / "in.nii.gz")

    image = read_image(tmp_path / "in.nii.gz")
    write_labels(tmp_path / "out.nii.gz", (image.array > 0).astype(np.uint8), image)

    written, source = nib.load(tmp_path / "out.nii.gz"), nib.load(tmp_path / "in.nii.gz")
    assert np.array_equal(image.array, hu)
    assert np.allclose(image.grid.affine, OBLIQUE, atol=1e-5)
    assert image.stored.orientation == axes
    assert written.shape == source.shape
    assert np.array_equal(written.affine, source.affine)
    assert np.array_equal(np.asanyarray(written.dataobj) > 0, np.asanyarray(source.dataobj) > 0)


@pytest.mark.parametrize(("sform", "qform"), [(1, 1), (2, 0), (0, 1), (0, 2), (4, 3), (0, 0)])
def test_both_forms_and_their_codes_are_copied(sform: int, qform: int, hu: np.ndarray, tmp_path: Path) -> None:
    source = save(tmp_path / "in.nii.gz", hu, np.diag([2.0, 3, 4, 1]), sform, qform)

    write_labels(tmp_path / "out.nii.gz", np.ones(hu.shape, np.uint8), read_image(source))

    written, original = nib.load(tmp_path / "out.nii.gz").header, nib.load(source).header
    for field in ("sform_code", "qform_code", "srow_x", "srow_y", "srow_z", "quatern_b", "quatern_c", "quatern_d"):
        assert np.array_equal(written[field], original[field]), field
    assert np.array_equal(written["pixdim"][:4], original["pixdim"][:4])


def test_nothing_but_geometry_of_a_header_is_written_again(hu: np.ndarray, tmp_path: Path) -> None:
    image = nib.Nifti1Image(hu, OBLIQUE)
    image.header["descrip"] = b"Doe, Jane 1950-01-01"
    nib.save(image, tmp_path / "in.nii.gz")

    write_labels(tmp_path / "out.nii.gz", np.ones(hu.shape, np.uint8), read_image(tmp_path / "in.nii.gz"))

    assert b"Jane" not in gzip.decompress((tmp_path / "out.nii.gz").read_bytes())


def test_the_same_labels_are_the_same_bytes(hu: np.ndarray, tmp_path: Path) -> None:
    image = read_image(save(tmp_path / "in.nii.gz", hu, OBLIQUE))
    labels = (image.array > 200).astype(np.uint8)

    first, second = (write_labels(tmp_path / name, labels, image) for name in ("a.nii.gz", "b.nii.gz"))

    assert first == second
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_ids_above_255_are_kept_in_16_bits(hu: np.ndarray, tmp_path: Path) -> None:
    image = read_image(save(tmp_path / "in.nii.gz", hu, OBLIQUE))
    labels = np.zeros(hu.shape, np.int32)
    labels[1, 2, 3] = 300

    write_labels(tmp_path / "out.nii.gz", labels, image)

    back = read_labels(tmp_path / "out.nii.gz", image)
    assert back.dtype == np.uint16
    assert back[1, 2, 3] == 300


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((7, 6, 4), np.uint8), "shape"),
        (np.zeros((7, 6, 5), np.float32), "integers"),
        (np.full((7, 6, 5), -1, np.int16), "0..65535"),
        (np.full((7, 6, 5), 70000, np.int32), "0..65535"),
    ],
)
def test_labels_that_break_the_contract_are_not_written(
    labels: np.ndarray, message: str, hu: np.ndarray, tmp_path: Path
) -> None:
    image = read_image(save(tmp_path / "in.nii.gz", hu, OBLIQUE))

    with pytest.raises(ContractError, match=message):
        write_labels(tmp_path / "out.nii.gz", labels, image)

    assert not (tmp_path / "out.nii.gz").exists()


def test_labels_stored_in_another_orientation_land_on_the_images_voxels(hu: np.ndarray, tmp_path: Path) -> None:
    image = read_image(save(tmp_path / "image.nii.gz", hu, OBLIQUE))
    labels = np.random.default_rng(5).integers(0, 4, hu.shape, np.uint8)
    nib.save(stored_as("PIL", labels, OBLIQUE), tmp_path / "labels.nii.gz")

    assert np.array_equal(read_labels(tmp_path / "labels.nii.gz", image, [1, 2, 3]), labels)


def test_voxels_missing_behind_a_whole_gzip_stream_are_refused(hu: np.ndarray, tmp_path: Path) -> None:
    content = gzip.decompress(save(tmp_path / "in.nii.gz", hu, OBLIQUE).read_bytes())
    (tmp_path / "short.nii.gz").write_bytes(gzip.compress(content[:-100]))

    with pytest.raises(CaseError, match=r"short\.nii\.gz"):
        read_image(tmp_path / "short.nii.gz")


def test_a_gzip_file_of_two_members_is_read_whole(hu: np.ndarray, tmp_path: Path) -> None:
    content = gzip.decompress(save(tmp_path / "in.nii.gz", hu, OBLIQUE).read_bytes())
    (tmp_path / "two.nii.gz").write_bytes(gzip.compress(content[:200]) + gzip.compress(content[200:]))

    assert np.array_equal(read_image(tmp_path / "two.nii.gz").array, hu)


@pytest.mark.parametrize(
    ("array", "affine", "message"),
    [
        (np.zeros((4, 5, 6, 2), np.int16), np.eye(4), "3D"),
        (np.zeros((4, 5, 6), np.complex64), np.eye(4), "one number a voxel"),
        (np.zeros((4, 5), np.int16), np.eye(4), "3D"),
        (np.zeros((4, 5, 6), np.int16), np.diag([1.0, 0, 1, 1]), "singular"),
    ],
)
def test_what_is_no_scalar_3d_volume_is_refused(
    array: np.ndarray, affine: np.ndarray, message: str, tmp_path: Path
) -> None:
    image = nib.Nifti1Image(array, None)
    image.header.set_sform(affine, code=1)
    image.header["sform_code"] = 1
    nib.save(image, tmp_path / "in.nii.gz")

    with pytest.raises(CaseError, match=message):
        read_image(tmp_path / "in.nii.gz")


def test_nifti_2_is_read_and_given_back(hu: np.ndarray, tmp_path: Path) -> None:
    nib.save(nib.Nifti2Image(hu, OBLIQUE), tmp_path / "in.nii.gz")

    image = read_image(tmp_path / "in.nii.gz")
    write_labels(tmp_path / "out.nii.gz", np.ones(hu.shape, np.uint8), image)

    assert np.array_equal(image.array, hu)
    assert isinstance(nib.load(tmp_path / "out.nii.gz"), nib.Nifti2Image)


def test_big_endian_files_are_read(hu: np.ndarray, tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(hu.astype(">i2"), OBLIQUE, nib.Nifti1Header(endianness=">")), tmp_path / "in.nii.gz")

    image = read_image(tmp_path / "in.nii.gz")
    write_labels(tmp_path / "out.nii.gz", (image.array > 0).astype(np.uint8), image)

    assert np.array_equal(image.array, hu)
    assert np.allclose(nib.load(tmp_path / "out.nii.gz").affine, OBLIQUE, atol=1e-5)


def test_a_written_image_has_its_voxels_and_its_affine(hu: np.ndarray, tmp_path: Path) -> None:
    write_image(tmp_path / "out.nii.gz", hu, np.diag([2.0, 3, 4, 1]))

    image = read_image(tmp_path / "out.nii.gz")
    assert np.array_equal(image.array, hu)
    assert image.spacing_mm == (2.0, 3.0, 4.0)
    assert image.notes == ()


@pytest.mark.parametrize("axes", ["LPS", "PIR", "SAL"])
def test_inverse_undoes_an_orientation(axes: str, hu: np.ndarray) -> None:
    image = stored_as(axes, hu, OBLIQUE)
    grid = Grid(image.shape, image.affine)
    orientation = canonical_orientation(grid.affine)
    there = orient(np.asanyarray(image.dataobj), grid, orientation)

    back = orient(there, orient_grid(grid, orientation), inverse_orientation(orientation))

    assert np.array_equal(back, np.asanyarray(image.dataobj))


def test_spacing_is_rounded_so_that_float32_headers_compare_exactly() -> None:
    grid = Grid((2, 2, 2), np.diag([np.float32(0.8), np.float32(0.7), 2.5, 1]).astype(np.float64))

    assert grid.spacing_mm == (0.8, 0.7, 2.5)


@pytest.mark.parametrize("library", ["zlib", "zlib_ng.zlib_ng"])
@pytest.mark.parametrize("members", [1, 3])
def test_either_library_inflates_the_same_and_finds_what_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, members: int
):
    monkeypatch.setattr(gzipfiles, "inflater", importlib.import_module(library))
    content = np.random.default_rng(0).integers(0, 7, 3_000_001, np.uint8).tobytes()
    cuts = [round(n * len(content) / members) for n in range(members + 1)]
    packed = b"".join(gzip.compress(content[a:b]) for a, b in pairwise(cuts))

    assert gzipfiles.decompress(tmp_path, packed + b"\0" * 9).tobytes() == content
    for end in (3, 11, len(packed) // 2, len(packed) - 9, len(packed) - 1):
        with pytest.raises(CaseError, match="gzip stream is truncated"):
            gzipfiles.decompress(tmp_path, packed[:end])
    damaged = packed[:-6] + b"\1\2" + packed[-4:]
    with pytest.raises(CaseError, match="gzip stream is corrupt"):
        gzipfiles.decompress(tmp_path, damaged)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16, np.float32])
def test_a_pair_of_label_maps_lies_on_one_grid_whatever_way_each_is_stored(tmp_path: Path, kind: type):
    labels = np.random.default_rng(1).choice([0, 0, 2, 5], (5, 6, 7)).astype(kind)
    first = nib.Nifti1Image(labels, OBLIQUE)
    nib.save(first, tmp_path / "a.nii.gz")
    nib.save(first.as_reoriented(np.array([[2, 1], [0, -1], [1, -1]])), tmp_path / "b.nii.gz")

    one, other, grid = read_label_pair(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")

    assert np.array_equal(one, other)
    assert one.dtype == other.dtype == np.uint8
    assert np.array_equal(one, read_labels(tmp_path / "a.nii.gz", grid))
