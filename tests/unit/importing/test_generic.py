"""Layouts that anybody may use: nnU-Net's, MSD's, plain folders, masks of own organs."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.distributions import AFFINE, centre_mm, litter, patient, save, write_json, write_masks, write_pairs
from helpers.inprocess import Ended, call_coordinator

from contract.datasets import open_dataset
from coordinator.datasets.anatomy import LABELS

Captured = pytest.CaptureFixture[str]


def import_into_data(capfd: Captured, source: Path, *options: str) -> Ended:
    return call_coordinator(capfd, "dataset", "import", source, "--into", source.parent / "data", *options)


@pytest.mark.parametrize(
    ("channels", "labels"),
    [
        ({"modality": {"0": "CT"}}, {"0": "background", **{str(i): organ for i, organ in LABELS.items()}}),
        ({"channel_names": {"0": "CT"}, "file_ending": ".nii.gz"}, {"background": 0, **{o: i for i, o in LABELS.items()}}),
    ],
    ids=["of version 1", "of version 2"],
)  # fmt: skip
def test_nnunets_channel_goes_from_names_and_its_labels_come_from_either_kind_of_dataset_json(
    channels: dict[str, object], labels: dict[str, object], tmp_path: Path, capfd: Captured
):
    source = tmp_path / "Dataset224_Abdomen Two"
    write_pairs(source, LABELS, [3, 4], "imagesTr/ab {:02d}_0000.nii.gz", "labelsTr/ab {:02d}.nii.gz")
    save(source / "imagesTs" / "ab 09_0000.nii.gz", patient(9).image)
    write_json(source / "dataset.json", {**channels, "labels": labels, "licence": "CC0: free", "numTraining": 2})

    ended = import_into_data(capfd, source)

    dataset = open_dataset(tmp_path / "data", "abdomen_two")
    assert (ended.code, ended.err) == (0, "")
    assert "layout nnunet, 2 cases" in ended.out
    assert "left out: 1: no labels: ab 09" in ended.out
    assert dataset.cases() == ["ab 03", "ab 04"]
    assert (dataset.labels, dataset.description.licence) == (LABELS, "CC0: free")
    assert centre_mm(dataset.label("ab 04"), 3)[0] < -20


def test_msds_archive_has_hidden_twins_of_all_files_and_a_json_at_its_top(tmp_path: Path, capfd: Captured):
    source = tmp_path / "Task09_Spleen"
    write_pairs(source, {1: "spleen"}, [2, 10], "imagesTr/spleen_{}.nii.gz", "labelsTr/spleen_{}.nii.gz")
    save(source / "imagesTs" / "spleen_1.nii.gz", patient(1).image)
    litter(source)
    write_json(
        source / "dataset.json",
        {"name": "Spleen", "modality": {"0": "CT"}, "labels": {"0": "background", "1": "spleen"},
         "licence": "CC-BY-SA 4.0", "training": [{"image": "./imagesTr/spleen_2.nii.gz"}]},
    )  # fmt: skip

    ended = import_into_data(capfd, source)

    dataset = open_dataset(tmp_path / "data", "spleen")
    assert "layout msd, 2 cases" in ended.out
    assert "licence: CC-BY-SA 4.0" in ended.out
    assert (dataset.cases(), dataset.labels) == (["spleen_10", "spleen_2"], {1: "spleen"})
    assert centre_mm(dataset.label("spleen_10"), 1)[0] < -40


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"labels": {"background": 0, "liver": [1, 2]}}, "regions of several ids are no label map"),
        ({"labels": {"background": 0, "liver": 1, "ignore": 2}}, "the label `ignore` marks those that are not"),
        ({"labels": {"0": "background", "1": "liver", "2": "liver"}}, "organs must be unique"),
        ({"labels": {"0": "liver", "1": "spleen"}}, "label 0 must be background, but it is 'liver'"),
        ({"labels": {"background": 0, "liver": 1}, "channel_names": {"0": "T2w"}}, "images must be CT, but they are 'T2w'"),
        ({"labels": {"background": 0, "liver": 1}, "channel_names": {"0": "CT", "1": "PET"}}, "one channel, CT"),
        ({}, "labels must name each id"),
        ({"labels": {"background": 0, "a long name" * 30: 1}}, "must be a text on one line"),
        ({"labels": {"background": 0, "liver": 70000}}, "ids must lie in 1..65535"),
    ],
)  # fmt: skip
def test_a_dataset_json_that_means_something_else_is_refused(
    content: dict[str, object], message: str, tmp_path: Path, capfd: Captured
):
    source = tmp_path / "Dataset001_Odd"
    write_pairs(source, {1: "liver"}, [1], "imagesTr/a{}_0000.nii.gz", "labelsTr/a{}.nii.gz")
    write_json(source / "dataset.json", content)

    ended = import_into_data(capfd, source)

    assert ended.code == 2
    assert ended.err.startswith(("error: dataset.json: ", f"error: {source}: its table of organs: "))
    assert message in ended.err
    assert not (tmp_path / "data").exists()


def test_a_converted_amos_keeps_the_table_that_came_with_it(tmp_path: Path, capfd: Captured):
    source = tmp_path / "amos_liver"
    write_pairs(source, {1: "liver"}, [1], "imagesTr/amos_{:04d}.nii.gz", "labelsTr/amos_{:04d}.nii.gz")
    write_json(source / "dataset.json", {"labels": {"background": 0, "liver": 1}, "channel_names": {"0": "CT"}})

    ended = import_into_data(capfd, source)

    assert "layout msd, 1 cases" in ended.out
    assert open_dataset(tmp_path / "data", "amos_liver").labels == {1: "liver"}


def test_plain_folders_of_any_usual_name_are_paired_by_the_names_of_their_files(tmp_path: Path, capfd: Captured):
    source = tmp_path / "My Clinic"
    write_pairs(source, LABELS, [1, 2], "CTs/{:03d}.nii.gz", "Masks/{:03d}_seg.nii.gz")
    write_json(source / "labels.json", {str(i): organ for i, organ in LABELS.items()})

    ended = import_into_data(capfd, source)

    dataset = open_dataset(tmp_path / "data", "my_clinic")
    assert "layout flat, 2 cases" in ended.out
    assert "licence: not stated" in ended.out
    assert (dataset.cases(), dataset.labels) == (["001", "002"], LABELS)


def test_ids_that_nothing_names_are_numbered_and_the_user_is_told(tmp_path: Path, capfd: Captured):
    write_pairs(tmp_path / "side", LABELS, [1], "{}_ct.nii.gz", "{}_label.nii.gz")

    ended = import_into_data(capfd, tmp_path / "side")

    assert "note: nothing says which id is which organ" in ended.out
    assert open_dataset(tmp_path / "data", "side").labels == {i: f"label_{i}" for i in LABELS}


def test_masks_of_own_organs_get_ids_in_alphabetical_order(tmp_path: Path, capfd: Captured):
    source = tmp_path / "cads_out"
    write_masks(source / "p1", 1, {"spleen": "spleen", "liver": "Leber", "kidney_left": "kidney_left"})
    write_masks(source / "p2", 2, {"spleen": "spleen", "kidney_left": "kidney_left"})

    ended = import_into_data(capfd, source)

    dataset = open_dataset(tmp_path / "data", "cads_out")
    assert dataset.labels == {1: "Leber", 2: "kidney_left", 3: "spleen"}
    assert "not all cases have a mask of: Leber (in 1 of 2); it is background in the others" in ended.out
    assert np.count_nonzero(np.asarray(nib.load(dataset.label("p1")).dataobj) == 1) == np.count_nonzero(
        patient(1).organs["liver"]
    )


@pytest.mark.parametrize("ending", [".nii", ".hdr", ".NII.GZ"])
def test_other_forms_of_nifti_are_written_anew_with_the_same_voxels_on_the_same_grid(
    ending: str, tmp_path: Path, capfd: Captured
):
    source = tmp_path / "forms"
    for kind, array in (("images", patient(5).image), ("labels", patient(5).labels(LABELS))):
        save(source / kind / f"a{ending.lower()}", array)
        (source / kind / f"a{ending.lower()}").rename(source / kind / f"a{ending}")
    write_json(source / "labels.json", {organ: i for i, organ in LABELS.items()})

    assert import_into_data(capfd, source).code == 0

    dataset = open_dataset(tmp_path / "data", "forms")
    for file, array in ((dataset.image("a"), patient(5).image), (dataset.label("a"), patient(5).labels(LABELS))):
        imported = nib.load(file)
        assert np.array_equal(np.asarray(imported.dataobj), array)
        assert np.abs(imported.affine - AFFINE).max() < 1e-5
        assert imported.get_data_dtype() == array.dtype
    assert call_coordinator(capfd, "dataset", "check", dataset.folder).code == 0


def test_pairs_without_their_voxels_or_with_damaged_ones_are_set_aside(tmp_path: Path, capfd: Captured):
    source = tmp_path / "pairs"
    for case in ("a", "b", "c"):
        save(source / "images" / f"{case}.hdr", patient(5).image)
        save(source / "labels" / f"{case}.nii.gz", patient(5).labels(LABELS))
    (source / "images" / "b.img").unlink()
    voxels = gzip.compress((source / "images" / "c.img").read_bytes())
    (source / "images" / "c.img").unlink()
    (source / "images" / "c.img.gz").write_bytes(voxels[:3000])

    ended = import_into_data(capfd, source)

    assert ended.code == 3
    assert open_dataset(tmp_path / "data", "pairs").cases() == ["a"]
    assert "b.hdr: a header must lie beside its voxels, but there is no .img; copy both files" in ended.err
    assert "c.hdr: pair must be whole, but one of its files is damaged: " in ended.err
