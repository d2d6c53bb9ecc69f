"""Repairs of an audit: what is certain is mended in a new folder, the old one stays as it is."""

import gzip
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.distributions import digest_tree
from helpers.niftibytes import OBLIQUE, QFORM_CODE, QUATERNION, nifti_bytes, pack, save_gz

from contract.datasets import Dataset, open_dataset
from contract.errors import CaseError, UsageError
from contract.volumes import read_image, read_labels
from coordinator.datasets.audit.findings import Finding, Repair, Weight
from coordinator.datasets.audit.repairs import check_target, rename_dataset, repair_dataset, write_qform
from coordinator.datasets.check import check_dataset
from coordinator.datasets.phantom import make_phantom

SWAP = partial(Repair, how="swap sides", folder="labels", swap=(2, 3))
ROUND = partial(Repair, how="round labels", folder="labels")
QFORM = partial(Repair, how="qform", folder="images")
TURNED = np.array([[0, -2.0, 0, 7], [1.5, 0, 0, -3], [0, 0, 3.0, 11], [0, 0, 0, 1]])


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    make_phantom(tmp_path / "data" / "given", cases=3, shape=(20, 18, 10))
    return open_dataset(tmp_path / "data", "given")


def found(case: str, *repairs: Callable[[str], Repair]) -> list[Finding]:
    return [Finding("kind", Weight.WRONG, "text", "advice", case, repairs=(repair(case),)) for repair in repairs]


def labels_of(dataset: Dataset, case: str) -> np.ndarray:
    return read_labels(dataset.label(case), read_image(dataset.image(case)), dataset.labels)


def test_left_and_right_change_places_and_nothing_else_does(dataset: Dataset):
    before = {case: labels_of(dataset, case) for case in dataset.cases()}
    digest = digest_tree(dataset.folder)

    repaired = repair_dataset(dataset, found("phantom_002", SWAP), dataset.folder.with_name("fixed"))

    fixed = open_dataset(dataset.folder.parent, "fixed")
    swapped = before["phantom_002"].copy()
    swapped[before["phantom_002"] == 2] = 3
    swapped[before["phantom_002"] == 3] = 2
    assert (swapped == 2).any()
    assert np.array_equal(labels_of(fixed, "phantom_002"), swapped)
    for case in ("phantom_001", "phantom_003"):
        assert fixed.label(case).samefile(dataset.label(case))
    assert [file.file for file in repaired] == ["labels/phantom_002.nii.gz"]
    assert digest_tree(dataset.folder) == digest


def test_labels_stored_as_fractions_are_written_as_the_whole_numbers_that_they_are_read_as(dataset: Dataset):
    file = dataset.label("phantom_001")
    image = nib.load(file)
    stored = np.asarray(image.dataobj).astype(np.float32)
    nib.save(nib.Nifti1Image(np.where(stored > 0, stored + 1e-4, 0), image.affine), file)
    before = labels_of(dataset, "phantom_001")

    repair_dataset(dataset, found("phantom_001", ROUND), dataset.folder.with_name("fixed"))

    fixed = open_dataset(dataset.folder.parent, "fixed")
    assert nib.load(fixed.label("phantom_001")).get_data_dtype() == np.uint8
    assert np.array_equal(labels_of(fixed, "phantom_001"), before)


def test_all_repairs_of_a_case_are_done_together_and_recorded(dataset: Dataset):
    case = "phantom_001"

    repair_dataset(dataset, found(case, ROUND, SWAP, QFORM), dataset.folder.with_name("fixed"))

    record = json.loads((dataset.folder.with_name("fixed") / "repairs.json").read_text())
    assert record["source"] == "given"
    assert {file: about["repairs"] for file, about in record["files"].items()} == {
        f"images/{case}.nii.gz": ["qform made that of the sform"],
        f"labels/{case}.nii.gz": [
            "written as whole numbers",
            "2 (kidney_right) and 3 (kidney_left) have changed places",
            "stored as the image is; description and extensions of the header were not kept",
        ],
    }
    assert all(about["sha256_before"] != about["sha256_after"] for about in record["files"].values())


def test_a_qform_becomes_that_of_the_sform_and_no_voxel_changes(tmp_path: Path):
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    source = save_gz(tmp_path / "a.nii.gz", nifti_bytes(array, TURNED, pack(QUATERNION, "3f", 0.9, 0, 0)))
    assert any("disagree" in note for note in read_image(source).notes)

    write_qform(source, tmp_path / "b.nii.gz")

    image = read_image(tmp_path / "b.nii.gz")
    assert image.notes == ()
    assert np.allclose(image.stored.affine, TURNED, atol=1e-5)
    assert gzip.decompress((tmp_path / "b.nii.gz").read_bytes())[352:] == gzip.decompress(source.read_bytes())[352:]


def test_a_sheared_grid_gets_no_qform_since_a_qform_cannot_say_it(tmp_path: Path):
    array = np.zeros((3, 4, 5), np.int16)
    source = save_gz(tmp_path / "a.nii.gz", nifti_bytes(array, OBLIQUE, pack(QUATERNION, "3f", 0.9, 0, 0)))

    write_qform(source, tmp_path / "b.nii.gz")

    image = read_image(tmp_path / "b.nii.gz")
    assert image.notes == ()
    assert np.allclose(image.stored.affine, OBLIQUE, atol=1e-5)
    assert int.from_bytes(gzip.decompress((tmp_path / "b.nii.gz").read_bytes())[QFORM_CODE:][:2], "little") == 0


def test_where_nothing_is_certain_no_folder_is_made(dataset: Dataset):
    target = dataset.folder.with_name("fixed")

    assert repair_dataset(dataset, [Finding("kind", Weight.WRONG, "text", "advice", "phantom_001")], target) == []
    assert sorted(path.name for path in target.parent.iterdir()) == ["given"]


def test_a_file_that_changed_since_the_audit_is_not_repaired(dataset: Dataset):
    target = dataset.folder.with_name("fixed")
    audited = {file: sha256 for file, (sha256, _) in check_dataset(dataset).files.items()}
    image = nib.load(dataset.label("phantom_001"))
    nib.save(nib.Nifti1Image(np.zeros(image.shape, np.uint8), image.affine), dataset.label("phantom_001"))

    with pytest.raises(CaseError, match=r"labels/phantom_001.nii.gz: file must be as it was audited, but has changed"):
        repair_dataset(dataset, found("phantom_001", SWAP), target, audited)

    assert sorted(path.name for path in target.parent.iterdir()) == ["given"]
    assert repair_dataset(dataset, found("phantom_002", SWAP), target, audited)


def test_what_a_killed_repair_left_is_made_anew(dataset: Dataset):
    rest = dataset.folder.with_name(".fixed.repairing")
    (rest / "images").mkdir(parents=True)
    (rest / "images" / "other.nii.gz").write_bytes(b"half")

    repair_dataset(dataset, found("phantom_001", SWAP), dataset.folder.with_name("fixed"))

    assert open_dataset(dataset.folder.parent, "fixed").cases() == dataset.cases()
    assert not rest.exists()


@pytest.mark.parametrize(
    ("target", "message"),
    [("given", "must not exist yet"), ("given/more", "nothing is ever written into a dataset"), ("My Fix", "--fix: ")],
)
def test_a_target_that_is_there_or_cannot_be_a_dataset_is_refused(target: str, message: str, dataset: Dataset):
    with pytest.raises(UsageError, match=message):
        check_target(dataset, dataset.folder.parent / target)


@pytest.mark.parametrize(
    ("text", "renamed"),
    [
        ("# ours\nname: a  # short\nlabels: {1: liver}\n", '# ours\nname: "0014"  # short\nlabels: {1: liver}\n'),
        ("{labels: {1: liver}, name: 'a'}", '{labels: {1: liver}, name: "0014"}'),
    ],
)
def test_a_description_keeps_its_comments_and_gets_the_new_name(text: str, renamed: str, tmp_path: Path):
    (tmp_path / "dataset.yaml").write_text(text)

    assert rename_dataset(tmp_path / "dataset.yaml", "0014") == renamed
