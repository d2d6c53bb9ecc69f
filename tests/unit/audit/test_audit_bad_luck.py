"""What may go wrong around an audit: files in the wrong places, datasets of one name, links, large label maps."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from contract.datasets import Dataset, open_dataset
from contract.errors import UsageError
from coordinator.cli.auditing import check_command
from coordinator.datasets.audit import audit
from coordinator.datasets.audit.audit import audit_datasets
from coordinator.datasets.audit.findings import Finding, Repair, Weight
from coordinator.datasets.audit.repairs import repair_dataset
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
