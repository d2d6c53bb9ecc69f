"""What may go wrong around an audit: files in the wrong places, datasets of one name, links, large label maps."""

import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

from contract.datasets import Dataset, open_dataset
from contract.errors import UsageError
from contract.processes import PROCESS_BYTES
from coordinator.cli.auditing import check_command
from coordinator.datasets.audit import audit
from coordinator.datasets.audit.audit import MEASURING, audit_datasets
from coordinator.datasets.audit.findings import Finding, Repair, Weight
from coordinator.datasets.audit.inspection import inspect_case
from coordinator.datasets.audit.repairs import repair_dataset
from coordinator.datasets.check import announced_bytes
from coordinator.datasets.phantom import make_phantom


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    make_phantom(tmp_path / "data" / "given", cases=3, shape=(24, 20, 12))
    return open_dataset(tmp_path / "data", "given")


@pytest.fixture
def nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object) -> object:
        raise AssertionError("a case was read")

    monkeypatch.setattr(audit, "inspect_case", read)


def run(*arguments: object) -> None:
    CliRunner().invoke(check_command, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.mark.parametrize("option", ["--html", "--json", "--cache"])
@pytest.mark.usefixtures("nothing_is_read")
def test_a_file_in_a_folder_that_does_not_exist_is_refused_before_anything_is_read(option: str, dataset: Dataset):
    file = dataset.folder.parent / "missing" / "file"

    with pytest.raises(UsageError, match=f"{option}: .*missing/file: its folder must exist"):
        run(dataset.folder, option, file)


@pytest.mark.usefixtures("nothing_is_read")
def test_two_options_that_name_one_file_are_refused(dataset: Dataset):
    file = dataset.folder.parent / "audit"

    with pytest.raises(UsageError, match="--cache: .*must be another file than that of --json"):
        run(dataset.folder, "--json", file, "--cache", file)


@pytest.mark.usefixtures("nothing_is_read")
def test_a_file_where_the_images_of_a_dataset_really_are_is_refused(dataset: Dataset):
    real = dataset.folder.parent / "elsewhere"
    (dataset.folder / "images").rename(real)
    (dataset.folder / "images").symlink_to(real)

    with pytest.raises(UsageError, match="nothing is ever written into a dataset folder"):
        run(dataset.folder, "--json", real / "audit.json")


def test_scans_of_two_datasets_of_one_name_are_compared_too(dataset: Dataset, tmp_path: Path):
    make_phantom(tmp_path / "other" / "given", cases=1, shape=(24, 20, 12))

    findings = audit_datasets([dataset, open_dataset(tmp_path / "other", "given")])[0].findings

    shared = [finding for finding in findings if finding.kind == "scan-in-other-dataset"]
    assert [finding.case for finding in shared] == ["phantom_001"]
    assert f"phantom_001 of {tmp_path / 'other' / 'given'}" in shared[0].text


def test_a_repair_keeps_a_case_whose_files_are_broken_links(dataset: Dataset):
    for kind in ("images", "labels"):
        (dataset.folder / kind / "lost.nii.gz").symlink_to("nowhere.nii.gz")
    (dataset.folder / "images" / "folder.nii.gz").mkdir()
    repair = Repair("phantom_001", "swap sides", "labels", (2, 3))

    repair_dataset(
        dataset,
        [Finding("kind", Weight.WRONG, "text", "advice", repairs=(repair,))],
        dataset.folder.with_name("fixed"),
    )

    fixed = open_dataset(dataset.folder.parent, "fixed")
    assert fixed.cases() == dataset.cases()
    assert set(audit_datasets([fixed])[0].check.set_aside) == {"lost", "folder"}


@pytest.mark.parametrize(
    ("sform", "is_repaired"),
    [
        (np.array([[-1.5, 0, 0, 8], [0, -1.5, 0, 5], [0, 0, 3.0, 0], [0, 0, 0, 1]]), True),
        (np.eye(4), False),  # never set
        (np.array([[1.5, 0, 0, 8], [0, -1.5, 0, 5], [0, 0, 3.0, 0], [0, 0, 0, 1]]), False),  # mirrored
        (np.array([[-1.5, 0, 0, 8], [0, -1.5, 0, np.nan], [0, np.nan, 3.0, 0], [0, 0, 0, 1]]), False),
    ],
)
def test_a_qform_is_only_made_that_of_an_sform_of_the_same_size_and_orientation(
    sform: np.ndarray, is_repaired: bool, tmp_path: Path
):
    make_phantom(tmp_path / "data" / "given", cases=1, shape=(24, 20, 12))
    dataset = open_dataset(tmp_path / "data", "given")
    for file in (dataset.image("phantom_001"), dataset.label("phantom_001")):
        volume = nib.load(file)
        voxels, header = np.asarray(volume.dataobj), volume.header
        header.set_qform(np.diag([-1.5, -1.5, 3, 1]), 1)
        header["sform_code"], header["srow_x"], header["srow_y"], header["srow_z"] = 1, *sform[:3]
        file.unlink()
        nib.save(nib.Nifti1Image(voxels, None, header), file)

    found = [f for f in audit_datasets([dataset])[0].findings if f.kind == "forms-disagree"]

    assert [bool(finding.repairs) for finding in found] == ([is_repaired] * 2 if np.isfinite(sform).all() else [])


def test_a_repair_that_fails_leaves_nothing_behind(dataset: Dataset):
    dataset.label("phantom_002").write_bytes(b"changed since")
    repair = Repair("phantom_002", "swap sides", "labels", (2, 3))

    with pytest.raises(Exception, match="must be gzip"):
        repair_dataset(
            dataset,
            [Finding("kind", Weight.WRONG, "text", "advice", repairs=(repair,))],
            dataset.folder.with_name("fixed"),
        )

    assert [path.name for path in dataset.folder.parent.iterdir()] == ["given"]


def test_a_label_that_fills_the_image_takes_no_more_memory_than_is_reckoned_with(tmp_path: Path):
    folder, shape = tmp_path / "given", (256, 256, 96)
    numbers = np.random.default_rng(0)
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    affine = np.diag([1.5, 1.5, 3, 1])
    voxels = numbers.integers(0, 255, shape, np.uint8)
    nib.save(nib.Nifti1Image(voxels, affine), folder / "images" / "a.nii.gz")
    nib.save(nib.Nifti1Image((voxels > 7).astype(np.uint8), affine), folder / "labels" / "a.nii.gz")
    (folder / "dataset.yaml").write_text("name: given\nlabels: {1: liver}\n")
    dataset = open_dataset(tmp_path, "given")

    tracemalloc.start()
    inspect_case(dataset.image("a"), dataset, "a")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak <= MEASURING * announced_bytes(dataset, "a") + PROCESS_BYTES / 2  # the other half is the libraries'
