"""Archives: what is needed of them is unpacked, nothing leaves the hidden folder, and what is damaged is said."""

import io
import json
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from helpers.distributions import digest_tree, litter, patient, save, write_masks, write_pairs
from helpers.inprocess import Ended, call_coordinator

from contract.datasets import open_dataset
from coordinator.datasets.anatomy import LABELS
from coordinator.datasets.importing.descriptions import describe_known

Captured = pytest.CaptureFixture[str]
AMOS = dict(describe_known("amos22").labels or {})


def import_into_data(capfd: Captured, source: Path, *options: str) -> Ended:
    return call_coordinator(capfd, "dataset", "import", source, "--into", source.parent / "data", *options)


def write_amos(folder: Path) -> Path:
    """The folder as the official zip holds it: CT and MRI, and macOS's files."""
    source = folder / "tree"
    write_pairs(source / "amos22", AMOS, [1, 507], "imagesTr/amos_{:04d}.nii.gz", "labelsTr/amos_{:04d}.nii.gz")
    write_pairs(source / "amos22", AMOS, [500], "imagesVa/amos_{:04d}.nii.gz", "labelsVa/amos_{:04d}.nii.gz")
    (source / "amos22" / "dataset.json").write_text("{}")
    litter(source)
    return source


def pack(source: Path, archive: Path) -> Path:
    files = sorted(path for path in source.rglob("*") if path.is_file())
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for file in files:
                packed.write(file, file.relative_to(source))
    else:
        with tarfile.open(archive, "w:gz") as packed_tar:
            packed_tar.add(source, ".")
    return archive


@pytest.mark.parametrize("name", ["amos22.zip", "amos22.tar.gz"])
def test_an_archive_becomes_what_its_folder_would_and_is_left_as_it_is(name: str, tmp_path: Path, capfd: Captured):
    source = write_amos(tmp_path / "x")
    archive = pack(source, tmp_path / name)
    before = archive.read_bytes(), archive.stat().st_mtime_ns

    planned = import_into_data(capfd, archive, "--dry-run")
    ended = import_into_data(capfd, archive)
    made = digest_tree(tmp_path / "data")
    again = import_into_data(capfd, archive)
    of_folder = call_coordinator(capfd, "dataset", "import", source, "--into", tmp_path / "other")

    assert (planned.code, ended.code, again.code, of_folder.code) == (0, 0, 0, 0)
    assert "amos_0500" in planned.out
    assert "unpacked" in planned.out
    assert "skipped: 6 .DS_Store" in ended.out
    assert "imported already" in again.out
    assert digest_tree(tmp_path / "data") == made
    assert (archive.read_bytes(), archive.stat().st_mtime_ns) == before
    assert sorted(path.name for path in (tmp_path / "data" / "amos22").iterdir()) == [
        "dataset.yaml", "images", "import.json", "labels",
    ]  # fmt: skip
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["amos22"]
    records = [json.loads((tmp_path / d / "amos22" / "import.json").read_text())["cases"] for d in ("data", "other")]
    assert records[0] == records[1]
    assert sorted(records[0]) == ["amos_0001", "amos_0500"]


def test_masks_and_pairs_come_out_of_an_archive(tmp_path: Path, capfd: Captured):
    write_masks(tmp_path / "x" / "top" / "p1", 1, {"spleen": "spleen", "liver": "liver"})
    save(tmp_path / "y" / "images" / "a.hdr", patient(1).image)
    save(tmp_path / "y" / "labels" / "a.hdr", patient(1).labels(LABELS))

    masks = import_into_data(capfd, pack(tmp_path / "x", tmp_path / "masks.zip"))
    pairs = import_into_data(capfd, pack(tmp_path / "y", tmp_path / "pairs.tgz"))

    assert (masks.code, pairs.code) == (0, 0)
    assert open_dataset(tmp_path / "data", "masks").labels == {1: "spleen", 5: "liver"}
    assert open_dataset(tmp_path / "data", "pairs").cases() == ["a"]


def test_unpacking_that_was_broken_off_goes_on_with_the_files_that_are_left(tmp_path: Path, capfd: Captured):
    archive = pack(write_amos(tmp_path / "x"), tmp_path / "amos22.zip")
    import_into_data(capfd, archive, "--as", "whole")
    fingerprint = json.loads((tmp_path / "data" / "whole" / "import.json").read_text())["fingerprint"]
    part = tmp_path / "data" / ".amos22.importing"
    there = part / "source" / "amos22" / "imagesTr" / "amos_0001.nii.gz"
    save(there, patient(1).image)
    (part / "begun.json").write_text(json.dumps({"fingerprint": fingerprint}))
    inode = there.stat().st_ino

    assert import_into_data(capfd, archive).code == 0

    assert (tmp_path / "data" / "amos22" / "images" / "amos_0001.nii.gz").stat().st_ino == inode


def tar_with(archive: Path, name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> None:
    with tarfile.open(archive, "w:gz") as packed:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname, entry.size = kind, link, 3 if kind == tarfile.REGTYPE else 0
        packed.addfile(entry, io.BytesIO(b"abc"))


def zip_with(archive: Path, name: str, mode: int = stat.S_IFREG) -> None:
    with zipfile.ZipFile(archive, "w") as packed:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        packed.writestr(entry, "abc")


@pytest.mark.parametrize("name", ["../out.nii.gz", "/out.nii.gz", "a/../../out.nii.gz", "a\\..\\out.nii.gz"])
def test_paths_that_lead_out_of_an_archive_are_refused(name: str, tmp_path: Path, capfd: Captured):
    tar_with(tmp_path / "a.tar.gz", name)
    zip_with(tmp_path / "a.zip", name)

    for archive in (tmp_path / "a.tar.gz", tmp_path / "a.zip"):
        ended = import_into_data(capfd, archive)
        assert ended.code == 2
        assert "leads out of it; unpack it yourself where you trust it" in ended.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "a.zip"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_an_archive_are_refused(kind: bytes, tmp_path: Path, capfd: Captured):
    tar_with(tmp_path / "a.tar.gz", "img/img0001.nii.gz", kind, "/etc/passwd")
    zip_with(tmp_path / "a.zip", "img/img0001.nii.gz", stat.S_IFLNK)

    for archive in (tmp_path / "a.tar.gz", tmp_path / "a.zip"):
        ended = import_into_data(capfd, archive)
        assert (ended.code, "'img/img0001.nii.gz' is a link or a device" in ended.err) == (2, True)


@pytest.mark.parametrize("name", ["amos22.zip", "amos22.tar.gz"])
def test_a_damaged_archive_is_named_and_no_dataset_is_made(name: str, tmp_path: Path, capfd: Captured):
    archive = pack(write_amos(tmp_path / "x"), tmp_path / name)
    archive.write_bytes(archive.read_bytes()[:9000])

    ended = import_into_data(capfd, archive)

    assert ended.code == 2
    assert f"error: {archive}: must be a whole .zip or .tar.gz, but: " in ended.err
    assert "download it again" in ended.err
    assert not (tmp_path / "data").exists()
