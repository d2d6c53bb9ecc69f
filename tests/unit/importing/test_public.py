"""The paper's seven datasets, each as it is published, with what is odd about it."""

import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.distributions import (
    AFFINE,
    SHAPE,
    centre_mm,
    digest_tree,
    litter,
    patient,
    save,
    write_json,
    write_masks,
    write_pairs,
)
from helpers.inprocess import Ended, call_coordinator

from contract.datasets import Dataset, open_dataset
from coordinator.datasets.importing.descriptions import describe_known

Captured = pytest.CaptureFixture[str]


def table(name: str) -> dict[int, str]:
    return dict(describe_known(name).labels or {})


def run_import(source: Path, capfd: Captured, *options: str) -> Ended:
    """Import a folder into `data` beside it; nothing in it may change, and a second import does nothing."""
    before = digest_tree(source)
    ended = call_coordinator(capfd, "dataset", "import", source, "--into", source.parent / "data", *options)
    made = digest_tree(source.parent / "data")

    again = call_coordinator(capfd, "dataset", "import", source, "--into", source.parent / "data", *options)

    assert "imported already from the same files" in again.out
    assert again.code == ended.code
    assert digest_tree(source.parent / "data") == made
    assert digest_tree(source) == before
    return ended


def record_of(dataset: Dataset) -> dict[str, dict[str, object]]:
    record: dict[str, dict[str, object]] = json.loads((dataset.folder / "import.json").read_text())
    return record


def expect_sides(dataset: Dataset, case: str, left: int, right: int) -> None:
    """Both kidneys are called by their side, and the left one lies on the patient's left, which is minus x."""
    assert (dataset.labels[left], dataset.labels[right]) == ("kidney_left", "kidney_right")
    assert centre_mm(dataset.label(case), left)[0] < -20
    assert centre_mm(dataset.label(case), right)[0] > 20


def test_btcv_names_images_and_labels_apart_and_its_ids_have_gaps(tmp_path: Path, capfd: Captured):
    raw = tmp_path / "Abdomen" / "RawData"
    write_pairs(raw, table("btcv"), [1, 10, 21], "Training/img/img{:04d}.nii.gz", "Training/label/label{:04d}.nii.gz")
    save(raw / "Testing" / "img" / "img0061.nii.gz", patient(61).image)
    litter(tmp_path / "Abdomen")

    ended = run_import(tmp_path / "Abdomen", capfd)

    dataset = open_dataset(tmp_path / "data", "btcv")
    assert ended.code == 0
    assert dataset.cases() == ["0001", "0010", "0021"]
    assert dataset.labels == table("btcv")
    assert "left out: 1: no labels: 0061" in ended.out
    assert "licence: Synapse syn3193805" in ended.out
    assert "citation: Landman" in ended.out
    assert record_of(dataset)["counts"]["skipped"] == {".DS_Store": 7, "__MACOSX": 1, "._*": 7}
    expect_sides(dataset, "0010", left=3, right=2)


def test_btcvs_other_label_set_has_a_duodenum_and_is_not_taken_for_the_official_one(tmp_path: Path, capfd: Captured):
    source = tmp_path / "Abdomen"
    write_pairs(source, table("btcv"), [1, 2], "img/img{:04d}.nii.gz", "label/label{:04d}.nii.gz")
    with_duodenum = patient(2).labels(table("btcv"))
    with_duodenum[:2, 0, 0] = 14
    save(source / "label" / "label0002.nii.gz", with_duodenum)

    ended = run_import(source, capfd)

    assert ended.code == 3
    assert open_dataset(tmp_path / "data", "btcv").cases() == ["0001"]
    assert "label0002.nii.gz: label ids must be in the dataset's table, but these are not: 14 (2 voxels)" in ended.err


def test_word_has_its_left_kidney_before_the_right_one_and_three_parts(tmp_path: Path, capfd: Captured):
    source = tmp_path / "WORD-V0.1.0"
    for part, numbers in {"Tr": [2, 4], "Val": [1], "Ts": [14]}.items():
        write_pairs(
            source, table("word"), numbers, f"images{part}/word_{{:04d}}.nii.gz", f"labels{part}/word_{{:04d}}.nii.gz"
        )
    qform_only = nib.Nifti1Image(patient(2).labels(table("word")), AFFINE)
    qform_only.set_qform(AFFINE, code=1)
    qform_only.set_sform(None, code=0)
    nib.save(qform_only, source / "labelsTr" / "word_0002.nii.gz")
    image = nib.Nifti1Image(patient(2).image, qform_only.affine)
    nib.save(image, source / "imagesTr" / "word_0002.nii.gz")

    ended = run_import(source, capfd)

    dataset = open_dataset(tmp_path / "data", "word")
    assert (ended.code, ended.err) == (0, "")
    assert dataset.cases() == ["word_0001", "word_0002", "word_0004", "word_0014"]
    assert dataset.labels == table("word")
    assert dataset.labels[12] == "adrenal"
    for case in dataset.cases():
        expect_sides(dataset, case, left=3, right=4)


def test_amos_is_taken_up_to_500_which_is_a_ct_and_no_further(tmp_path: Path, capfd: Captured):
    source = tmp_path / "amos22"
    amos = table("amos22")
    write_pairs(source, amos, [1, 507], "imagesTr/amos_{:04d}.nii.gz", "labelsTr/amos_{:04d}.nii.gz")
    write_pairs(source, amos, [8, 500, 501], "imagesVa/amos_{:04d}.nii.gz", "labelsVa/amos_{:04d}.nii.gz")
    write_pairs(source, amos, [9], "imagesVal/amos_{:04d}.nii.gz", "labelsVal/amos_{:04d}.nii.gz")
    save(source / "imagesTs" / "amos_0002.nii.gz", patient(3).image)
    names = amos | {14: "bladder", 9: "postcava", 15: "prostate/uterus"}
    write_json(source / "dataset.json", {"labels": {"0": "background", **{str(i): n for i, n in names.items()}}})
    (source / "readme.md").write_text("amos22")
    litter(source)

    ended = run_import(source, capfd)

    dataset = open_dataset(tmp_path / "data", "amos22")
    assert ended.code == 0
    assert dataset.cases() == ["amos_0001", "amos_0008", "amos_0009", "amos_0500"]
    assert dataset.labels == amos
    assert "left out: 4: MRI (number above 500)" in ended.out
    assert "left out: 1: no labels: amos_0002" in ended.out
    expect_sides(dataset, "amos_0500", left=3, right=2)


def test_abdomenct1k_loses_the_ending_of_its_images_and_cases_without_a_mask(tmp_path: Path, capfd: Captured):
    source = tmp_path / "AbdomenCT-1K"
    ct1k = table("abdomenct1k")
    without = {10, 13}
    sheared = AFFINE @ np.array([[1, 0.02, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    for part, numbers in {1: [1, 10], 2: [13, 400]}.items():
        write_pairs(
            source, ct1k, numbers, f"AbdomenCT-1K-ImagePart{part}/Case_{{:05d}}_0000.nii.gz",
            lambda number: None if number in without else f"Mask/Case_{number:05d}.nii.gz",
        )  # fmt: skip
    save(source / "AbdomenCT-1K-ImagePart2" / "Case_00400_0000.nii.gz", patient(400).image, sheared)
    save(source / "Mask" / "Case_00400.nii.gz", patient(400).labels(ct1k), sheared)

    ended = run_import(source, capfd)

    dataset = open_dataset(tmp_path / "data", "abdomenct1k")
    assert ended.code == 0
    assert dataset.cases() == ["Case_00001", "Case_00400"]
    assert dataset.labels == {1: "liver", 2: "kidney", 3: "spleen", 4: "pancreas"}
    assert "left out: 2: no labels: Case_00010, Case_00013" in ended.out
    assert centre_mm(dataset.label("Case_00001"), 1)[0] > 0 > centre_mm(dataset.label("Case_00001"), 3)[0]


def test_abdomenct1ks_one_scan_of_two_names_is_imported_twice_and_named_by_the_check(tmp_path: Path, capfd: Captured):
    source, ct1k = tmp_path / "AbdomenCT-1K", table("abdomenct1k")
    for case in (297, 928):
        save(source / "Part1" / f"Case_{case:05d}_0000.nii.gz", patient(297).image)
        save(source / "Mask" / f"Case_{case:05d}.nii.gz", patient(297).labels(ct1k))

    assert run_import(source, capfd).code == 0
    checked = call_coordinator(capfd, "dataset", "check", tmp_path / "data" / "abdomenct1k")

    assert checked.code == 0
    assert re.search(r"suspect +Case_00928 .*Case_00297", checked.out)


def test_flare21_and_flare22_have_tables_of_their_own(tmp_path: Path, capfd: Captured):
    old, new = tmp_path / "FLARE21", tmp_path / "FLARE22Train"
    write_pairs(
        old, table("flare21"), [0, 360], "TrainingImg/train_{:03d}_0000.nii.gz", "TrainingMask/train_{:03d}.nii.gz"
    )
    write_pairs(
        new, table("flare22"), [1, 50], "images/FLARE22_Tr_{:04d}_0000.nii.gz", "labels/FLARE22_Tr_{:04d}.nii.gz"
    )
    save(new / "unlabeled" / "Case_00001_0000.nii.gz", patient(9).image)

    assert run_import(old, capfd).code == 0
    ended = run_import(new, capfd)

    first, second = (open_dataset(tmp_path / "data", name) for name in ("flare21", "flare22"))
    assert first.cases() == ["train_000", "train_360"]
    assert first.labels == {1: "liver", 2: "kidney", 3: "spleen", 4: "pancreas"}
    assert second.cases() == ["FLARE22_Tr_0001", "FLARE22_Tr_0050"]
    assert "left out: 1: files of other names: unlabeled/Case_00001_0000.nii.gz" in ended.out
    assert centre_mm(first.label("train_360"), 1)[0] > 0 > centre_mm(first.label("train_360"), 3)[0]
    expect_sides(second, "FLARE22_Tr_0050", left=13, right=2)


def test_segthor_calls_every_label_gt_and_altered_copies_are_set_aside(tmp_path: Path, capfd: Captured):
    source = tmp_path / "SegTHOR"
    train = "train/Patient_{0:02d}/"
    write_pairs(source, table("segthor"), [1, 2, 40], train + "Patient_{0:02d}.nii.gz", train + "GT.nii.gz")
    save(source / "train" / "Patient_02" / "GT.nii.gz", 63 * patient(2).labels(table("segthor")))
    save(source / "test" / "Patient_41.nii.gz", patient(41).image)

    ended = run_import(source, capfd)

    dataset = open_dataset(tmp_path / "data", "segthor")
    assert ended.code == 3
    assert dataset.cases() == ["Patient_01", "Patient_40"]
    assert dataset.labels == {1: "esophagus", 2: "heart", 3: "trachea", 4: "aorta"}
    assert "error: Patient_02: set aside: " in ended.err
    assert "Patient_02/GT.nii.gz: label ids must be in the dataset's table, but these are not: 126 (" in ended.err
    assert "left out: 1: no labels: Patient_41" in ended.out
    assert centre_mm(dataset.label("Patient_40"), 2)[0] < -10  # drawn where the stomach is


def test_abdomenatlas_takes_combined_labels_or_merges_masks_by_its_own_names(tmp_path: Path, capfd: Captured):
    source = tmp_path / "AbdomenAtlas1.0Mini"
    atlas = table("abdomenatlas10")
    names = {organ: organ for organ in atlas.values()} | {
        "gallbladder": "gall_bladder",
        "inferior_vena_cava": "postcava",
    }
    for number in (1, 2, 5195):
        write_masks(source / f"BDMAP_{number:08d}", number, names)
    for number in (1, 2):
        save(source / f"BDMAP_{number:08d}" / "combined_labels.nii.gz", patient(number).labels(atlas))
    shifted = AFFINE.copy()
    shifted[2, 3] += 1.7
    save(source / "BDMAP_00000002" / "combined_labels.nii.gz", patient(2).labels(atlas), shifted)
    write_masks(source / "BDMAP_00009262", 4, names, ct=False)

    ended = run_import(source, capfd)

    dataset = open_dataset(tmp_path / "data", "abdomenatlas10")
    assert ended.code == 3
    assert dataset.cases() == ["BDMAP_00000001", "BDMAP_00005195"]
    assert dataset.labels == atlas
    assert "error: BDMAP_00000002: set aside: " in ended.err
    assert "combined_labels.nii.gz: label and image: grids must agree within 0.001 mm, but they are 1.7 mm" in ended.err
    assert "left out: 1: labels without an image: BDMAP_00009262" in ended.out
    assert (dataset.folder / "labels/BDMAP_00000001.nii.gz").samefile(
        source / "BDMAP_00000001" / "combined_labels.nii.gz"
    )
    for case in dataset.cases():
        expect_sides(dataset, case, left=3, right=4)


def test_abdomenatlas_11_is_told_by_its_further_organs(tmp_path: Path, capfd: Captured):
    newer = table("abdomenatlas11")
    names = {organ: organ for organ in newer.values()} | {
        "gallbladder": "gall_bladder", "inferior_vena_cava": "postcava", "urinary_bladder": "bladder",
    }  # fmt: skip
    write_masks(tmp_path / "AbdomenAtlas1.1Mini" / "BDMAP_00000007", 7, names)

    assert run_import(tmp_path / "AbdomenAtlas1.1Mini", capfd).code == 0

    assert open_dataset(tmp_path / "data", "abdomenatlas11").labels == newer
    assert len(newer) == 25


@pytest.mark.parametrize(("name", "organs", "heart"), [("totalsegmentator", 117, 51), ("totalsegmentator1", 104, 44)])
def test_totalsegmentators_masks_are_merged_into_the_ids_of_its_models(
    name: str, organs: int, heart: int, tmp_path: Path, capfd: Captured
):
    source = tmp_path / "Totalsegmentator_dataset"
    for number in (0, 864):
        write_masks(source / f"s{number:04d}", number, {organ: organ for organ in table(name).values()})
    (source / "s0864" / "ct.nii.gz").write_bytes((source / "s0000" / "ct.nii.gz").read_bytes()[:4000])
    (source / "meta.csv").write_text("image_id;split\ns0000;train\n")

    ended = run_import(source, capfd)

    dataset = open_dataset(tmp_path / "data", name)
    assert ended.code == 3
    assert dataset.cases() == ["s0000"]
    assert len(dataset.labels) == organs
    assert "error: s0864: set aside: " in ended.err
    assert "s0864/ct.nii.gz: gzip stream is truncated" in ended.err
    expect_sides(dataset, "s0000", left=3, right=2)
    stomach = np.count_nonzero(patient(0).organs["stomach"])
    merged = np.asarray(nib.load(dataset.label("s0000")).dataobj)
    assert merged.shape == SHAPE
    # The heart has the stomach's voxels here: of two equally large organs the lower id gets them.
    assert (np.count_nonzero(merged == 6), np.count_nonzero(merged == heart)) == (stomach, 0)
    overlaps = record_of(dataset)["cases"]["s0000"]["overlaps"]
    assert overlaps["stomach > heart" if heart == 51 else "stomach > heart_myocardium"] == stomach
    assert (
        f"masks overlap in 1 cases: s0000 ({sum(overlaps.values())} voxels); import.json lists the organs" in ended.out
    )
