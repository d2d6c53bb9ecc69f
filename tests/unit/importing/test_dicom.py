"""DICOM: slices become volumes of the same HU at the same places, and SEG and RTSTRUCT their labels."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.dicomcases import AXES, TABLE, draw, expect_volume, import_into_data, label_map, place, to_ras
from helpers.dicomlabels import draw_contours, write_seg
from helpers.dicomseries import write_ct, write_rtstruct
from helpers.distributions import centre_mm, digest_tree, save
from helpers.inprocess import call_coordinator
from helpers.studies import COORDINATOR
from numpy.typing import NDArray
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import MRImageStorage

from contract.datasets import open_dataset
from contract.volumes import read_image, read_labels
from coordinator.datasets.importing.dicom import layout

Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize("kind", ["SEG", "RTSTRUCT"])
@pytest.mark.parametrize("axes", AXES.values(), ids=AXES)
def test_volumes_and_labels_lie_where_the_slices_do(
    axes: NDArray[np.float64], kind: str, tmp_path: Path, capfd: Captured
):
    affine = place(axes)
    image, masks = draw(1, affine)
    slices = write_ct(tmp_path / "scans" / "p1" / "ct", image, affine)
    if kind == "SEG":
        write_seg(tmp_path / "scans" / "p1" / "seg" / "1.dcm", slices, masks)
    else:
        contours = {organ: draw_contours(mask, affine) for organ, mask in masks.items()}
        write_rtstruct(tmp_path / "scans" / "p1" / "rt" / "1.dcm", slices[0], contours)
    before = digest_tree(tmp_path / "scans")

    ended = import_into_data(capfd, tmp_path / "scans")
    made = digest_tree(tmp_path / "data")
    again = import_into_data(capfd, tmp_path / "scans")
    checked = call_coordinator(capfd, "dataset", "check", tmp_path / "data" / "scans")

    assert (ended.code, ended.err, again.code) == (0, "", 0)
    assert "layout dicom, 1 cases" in ended.out
    assert "imported already" in again.out
    assert digest_tree(tmp_path / "data") == made
    assert digest_tree(tmp_path / "scans") == before
    dataset = open_dataset(tmp_path / "data", "scans")
    assert (dataset.cases(), dataset.labels, "error:" in checked.out) == (["p1"], TABLE, False)
    expect_volume(dataset.image("p1"), image, affine)
    grid = read_image(dataset.image("p1")).grid
    assert np.array_equal(read_labels(dataset.label("p1"), grid), to_ras(label_map(masks), affine)[0])
    ids = {organ: i for i, organ in TABLE.items()}
    assert centre_mm(dataset.label("p1"), ids["spleen"])[0] < -40
    assert centre_mm(dataset.label("p1"), ids["liver"])[0] > 20


def test_files_are_known_by_their_bytes_whatever_their_names_and_also_without_a_preamble(
    tmp_path: Path, capfd: Captured
):
    affine = place()
    for number, name in enumerate(["IM{:03d}", "{:03d}.dcm", "{:03d}.IMA", "slice{:03d}.txt"]):
        write_ct(tmp_path / "s" / f"p{number}", draw(number, affine)[0], affine, key=name, name=name.format)
    for file in (tmp_path / "s" / "p0").iterdir():
        file.write_bytes(file.read_bytes()[132:])
    for file in (tmp_path / "s" / "p1").iterdir():
        header = dcmread(file)
        del header.file_meta
        dcmwrite(file, header, implicit_vr=True, little_endian=True)
    (tmp_path / "s" / "p1" / "README").write_text("a note, which is no DICOM")
    (tmp_path / "s" / "p1" / "empty").write_bytes(b"")
    (tmp_path / "s" / "p2" / "noise.bin").write_bytes(b"\x08\0\x05\0" + bytes(range(256)) * 4)

    ended = import_into_data(capfd, tmp_path / "s")

    assert (ended.code, ended.err) == (0, "")
    assert "left out: 2: folders with files that are no DICOM: p1 (2), p2 (1)" in ended.out
    dataset = open_dataset(tmp_path / "data", "s")
    assert dataset.cases() == ["p0", "p1", "p2", "p3"]
    assert dataset.labels == {}
    for number in range(4):
        expect_volume(dataset.image(f"p{number}"), draw(number, affine)[0], affine)


def test_scans_without_labels_are_left_out_where_others_have_some_and_else_imported_as_images(
    tmp_path: Path, capfd: Captured
):
    affine = place()
    image, masks = draw(1, affine)
    slices = write_ct(tmp_path / "s" / "a", image, affine)
    write_ct(tmp_path / "s" / "b", draw(2, affine)[0], affine, key="b")

    images_only = import_into_data(capfd, tmp_path / "s", "--as", "images")
    again = import_into_data(capfd, tmp_path / "s", "--as", "images")
    checked = call_coordinator(capfd, "dataset", "check", tmp_path / "data" / "images")
    write_seg(tmp_path / "s" / "a" / "seg.dcm", slices, {"Liver": masks["liver"]})
    with_labels = import_into_data(capfd, tmp_path / "s", "--as", "labelled")

    assert (images_only.code, again.code, checked.code, with_labels.code) == (0, 0, 0, 0)
    assert open_dataset(tmp_path / "data", "images").cases() == ["a", "b"]
    assert "imported already" in again.out
    assert "left out: 1: no labels: b" in with_labels.out
    labelled = open_dataset(tmp_path / "data", "labelled")
    assert (labelled.cases(), labelled.labels) == (["a"], {1: "liver"})


def test_a_series_lies_in_a_folder_alone_and_others_are_listed(tmp_path: Path, capfd: Captured):
    affine = place()
    image = draw(1, affine)[0]

    def second(header: Dataset, number: int) -> None:
        header.SeriesNumber, header.ConvolutionKernel = 7, "B70s"

    write_ct(tmp_path / "s" / "p1" / "x", image, affine)
    write_ct(tmp_path / "s" / "p2" / "x", image, affine, key="b")
    write_ct(tmp_path / "s" / "p2" / "x", image[:, :, :9], affine, key="c", change=second, name="T{:03d}".format)
    several = import_into_data(capfd, tmp_path / "s")
    for file in (tmp_path / "s" / "p2" / "x").glob("T*"):
        file.unlink()
    shutil.copytree(tmp_path / "s" / "p1", tmp_path / "s" / "backup")
    copied = import_into_data(capfd, tmp_path / "s")
    shutil.rmtree(tmp_path / "s" / "backup")

    assert (several.code, copied.code) == (2, 2)
    assert several.err.splitlines()[1:] == [
        "  p2/x:",
        "    series 3: 15 slices, 8.4 x 9.1 x 12.5 mm, kernel B30f",
        "    series 7: 9 slices, 8.4 x 9.1 x 12.5 mm, kernel B70s",
        "Move the files of the others out of SRC, or each series into a folder of its own.",
    ]
    assert "a series must lie in one folder, but its files lie in several:\n  backup/x, p1/x\n" in copied.err
    assert import_into_data(capfd, tmp_path / "s").code == 0


def test_localizers_single_slices_and_other_objects_are_left_out_and_counted(tmp_path: Path, capfd: Captured):
    affine = place()
    image = draw(1, affine)[0]

    def localize(header: Dataset, number: int) -> None:
        header.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    def turn_into_mr(header: Dataset, number: int) -> None:
        header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = MRImageStorage
        header.Modality = "MR"

    folder = tmp_path / "s" / "p1"
    write_ct(folder, image, affine)
    write_ct(folder, image[:, :, :2], affine, key="b", change=localize, name="L{}".format)
    write_ct(folder, image[:, :, :1], affine, key="c", name="S{}".format)
    write_ct(folder, image[:, :, :3], affine, key="d", change=turn_into_mr, name="M{}".format)
    ended = import_into_data(capfd, tmp_path / "s")
    for file in folder.glob("IM*"):
        file.unlink()
    none = import_into_data(capfd, tmp_path / "s", "--as", "none")

    assert ended.code == 0
    for line in ("localizers: p1 (2)", "series of one slice: p1 (1)", "other objects (MR Image Storage): p1 (3)"):
        assert f"left out: 1: folders with {line}" in ended.out
    expect_volume(tmp_path / "data" / "s" / "images" / "p1.nii.gz", image, affine)
    assert none.code == 2
    assert "s: must hold a CT series of at least two slices, but holds only: localizers, other objects (MR" in none.err


def test_dicom_is_looked_for_beside_nifti_only_where_it_is_asked_for_and_never_in_archives(
    tmp_path: Path, capfd: Captured
):
    affine = place()
    write_ct(tmp_path / "s" / "p1", draw(1, affine)[0], affine, name="{}.dcm".format)
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "s")
    save(tmp_path / "s" / "converted.nii.gz", draw(1, affine)[0], affine)

    unasked = import_into_data(capfd, tmp_path / "s")
    asked = import_into_data(capfd, tmp_path / "s", "--layout", "dicom")
    archive = import_into_data(capfd, tmp_path / "packed.zip")

    assert (unasked.code, asked.code, archive.code) == (2, 0, 2)
    assert "beside NIfTI files only by --layout dicom" in unasked.err
    assert "packed: DICOM must be imported from a folder, but this is an archive; unpack it" in archive.err


def test_a_dry_run_shows_which_case_is_which_folder_and_what_will_be_set_aside(tmp_path: Path, capfd: Captured):
    affine = place()
    image, masks = draw(1, affine)
    slices = write_ct(tmp_path / "s" / "p1" / "ct", image, affine)
    write_seg(tmp_path / "s" / "p1" / "seg" / "1.dcm", slices, {"Liver": masks["liver"]})
    broken = write_ct(tmp_path / "s" / "p2" / "ct", image, affine, key="b")
    write_seg(tmp_path / "s" / "p2" / "seg" / "1.dcm", broken, {"Liver": masks["liver"]})
    broken[4].unlink()

    ended = import_into_data(capfd, tmp_path / "s", "--dry-run")

    lines = ended.out.splitlines()
    assert ended.code == 0
    assert lines[1] == "p1    p1/ct (series 3, 15 slices)  p1/seg/1.dcm (SEG)  converted"
    assert lines[2].startswith(
        "p2    p2/ct (series 3, 14 slices)  p2/seg/1.dcm (SEG)  set aside: series 3: no slice may"
    )
    assert not (tmp_path / "data").exists()


def test_an_import_that_is_killed_goes_on_and_ends_as_one_that_was_not(tmp_path: Path, capfd: Captured):
    source, cases = tmp_path / "s", 8
    voxels = np.random.default_rng(3).integers(-1000, 1000, (96, 90, 40), np.int16)
    for number in range(cases):
        slices = write_ct(source / f"p{number}" / "ct", voxels + np.int16(number), place(), key=f"{number}")
        write_seg(source / f"p{number}" / "seg.dcm", slices, {"Liver": voxels > 900, "Spleen": voxels < -900})
    before = digest_tree(source)
    command = [str(COORDINATOR), "dataset", "import", str(source), "--into", str(tmp_path / "data")]
    part = tmp_path / "data" / ".s.importing"

    with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as killed:
        while killed.poll() is None and not (part / "cases.jsonl").is_file():
            time.sleep(0.01)
        os.killpg(killed.pid, signal.SIGKILL)
    done = [json.loads(line)["case"] for line in (part / "cases.jsonl").read_text().splitlines() if line.endswith("}")]
    kept = (part / "images" / f"{done[0]}.nii.gz").stat().st_mtime_ns
    ended = import_into_data(capfd, source)
    resumed = digest_tree(tmp_path / "data" / "s")
    shutil.rmtree(tmp_path / "data" / "s")
    undisturbed = import_into_data(capfd, source)

    assert 1 <= len(done) < cases
    assert (ended.code, undisturbed.code) == (0, 0)
    assert resumed[f"images/{done[0]}.nii.gz"][1] == kept
    assert {name: d[2] for name, d in resumed.items()} == {
        name: d[2] for name, d in digest_tree(tmp_path / "data" / "s").items()
    }
    assert len(resumed) == 2 * cases + 5
    assert digest_tree(source) == before


def test_headers_of_many_folders_are_read_in_several_processes_to_the_same_end(
    tmp_path: Path, capfd: Captured, monkeypatch: pytest.MonkeyPatch
):
    for number in range(3):
        write_ct(tmp_path / "s" / f"p{number}", draw(number, place())[0], place(), key=f"{number}")
    os.mkfifo(tmp_path / "s" / "p1" / "pipe")
    here = import_into_data(capfd, tmp_path / "s", "--dry-run")
    monkeypatch.setattr(layout, "FEW_FILES", 3)

    elsewhere = import_into_data(capfd, tmp_path / "s", "--dry-run")

    assert (here.code, elsewhere) == (0, here)
    assert "left out: 1: folders with files that are no DICOM: p1 (1)" in here.out
