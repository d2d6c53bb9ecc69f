"""Real CTs in the layouts that people have: one command each, and the check of datasets finds nothing to set aside."""

import json
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.distributions import centre_mm, save, write_json
from helpers.inprocess import call_coordinator

from contract.datasets import Dataset, open_dataset
from coordinator.datasets.importing.descriptions import describe_known

pytestmark = pytest.mark.samples
Captured = pytest.CaptureFixture[str]
TABLE = dict(describe_known("totalsegmentator").labels or {})
SCANS = {"ts_a": "seg117_fast", "ts_b": "seg117_las"}


def link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source)


def import_and_check(capfd: Captured, source: Path, name: str) -> Dataset:
    """Import with no option but where to; `dataset check` must find every case sound."""
    data = source.parent / "data"
    ended = call_coordinator(capfd, "dataset", "import", source, "--into", data)
    checked = call_coordinator(capfd, "dataset", "check", data / name)

    assert (ended.code, ended.err) == (0, "")
    assert (checked.code, "error:" in checked.out) == (0, False)
    return open_dataset(data, name)


def expect_true_labels(dataset: Dataset, case: str, samples: Path, scan: str) -> None:
    """Imported labels are those of the sample, voxel by voxel, and the spleen lies to the left of the liver."""
    expected = np.asarray(nib.load(samples / scan / f"{SCANS[scan]}.nii.gz").dataobj)
    imported = np.asarray(nib.load(dataset.label(case)).dataobj)
    if scan == "ts_b":  # stored LAS, its image LPS
        imported = imported if np.array_equal(imported, expected) else imported[:, ::-1]
    assert np.array_equal(imported, expected)
    assert dataset.labels == TABLE
    assert (dataset.labels[1], dataset.labels[5]) == ("spleen", "liver")
    assert centre_mm(dataset.label(case), 1)[0] < centre_mm(dataset.label(case), 5)[0] - 50


def test_real_scans_in_nnunets_layout(samples: Path, tmp_path: Path, capfd: Captured):
    source = tmp_path / "Dataset300_Real"
    for scan, labels in SCANS.items():
        link(samples / scan / "ct.nii.gz", source / "imagesTr" / f"{scan}_0000.nii.gz")
        link(samples / scan / f"{labels}.nii.gz", source / "labelsTr" / f"{scan}.nii.gz")
    write_json(
        source / "dataset.json",
        {"channel_names": {"0": "CT"}, "labels": {"background": 0, **{organ: i for i, organ in TABLE.items()}}},
    )

    dataset = import_and_check(capfd, source, "real")

    assert dataset.cases() == ["ts_a", "ts_b"]
    for scan in SCANS:
        expect_true_labels(dataset, scan, samples, scan)


def test_real_scans_in_msds_layout(samples: Path, tmp_path: Path, capfd: Captured):
    source = tmp_path / "Task99_Real"
    for scan, labels in SCANS.items():
        link(samples / scan / "ct.nii.gz", source / "imagesTr" / f"{scan}.nii.gz")
        link(samples / scan / f"{labels}.nii.gz", source / "labelsTr" / f"{scan}.nii.gz")
    table = {"0": "background", **{str(i): organ for i, organ in TABLE.items()}}
    write_json(source / "dataset.json", {"modality": {"0": "CT"}, "labels": table, "licence": "Apache-2.0"})

    dataset = import_and_check(capfd, source, "real")

    for scan in SCANS:
        expect_true_labels(dataset, scan, samples, scan)


def test_real_scans_in_totalsegmentators_layout(samples: Path, tmp_path: Path, capfd: Captured):
    source = tmp_path / "Totalsegmentator_dataset_v201"
    cases = {"ts_a": "s0011", "ts_b": "s0058"}
    for (scan, labels), case in zip(SCANS.items(), cases.values(), strict=True):
        link(samples / scan / "ct.nii.gz", source / case / "ct.nii.gz")
        image = nib.load(samples / scan / f"{labels}.nii.gz")
        voxels = np.asarray(image.dataobj)
        present = set(np.unique(voxels).tolist())
        for i, organ in TABLE.items():
            if i in present or scan == "ts_a":
                save(source / case / "segmentations" / f"{organ}.nii.gz", (voxels == i).astype(np.uint8), image.affine)

    data = tmp_path / "data"
    ended = call_coordinator(capfd, "dataset", "import", source, "--into", data)
    checked = call_coordinator(capfd, "dataset", "check", data / "totalsegmentator")

    dataset = open_dataset(data, "totalsegmentator")
    assert (ended.code, checked.code) == (0, 0)
    assert "note: not all cases have a mask of: " in ended.out
    for scan, case in cases.items():
        expect_true_labels(dataset, case, samples, scan)
    record = json.loads((dataset.folder / "import.json").read_text())
    assert "fewest voxels" in record["merge_rule"]
    assert not any("overlaps" in about for about in record["cases"].values())


def test_real_scans_in_bidss_layout_and_packed(samples: Path, tmp_path: Path, capfd: Captured):
    source, archive = tmp_path / "bids", tmp_path / "bids.zip"
    for scan, labels in {"a": "ts_a", "b": "ts_b"}.items():
        link(samples / labels / "ct.nii.gz", source / f"sub-{scan}" / "ct" / f"sub-{scan}_ct.nii.gz")
        link(
            samples / labels / f"{SCANS[labels]}.nii.gz",
            source / "derivatives" / "seg" / f"sub-{scan}" / "ct" / f"sub-{scan}_desc-organs_dseg.nii.gz",
        )
    rows = "".join(f"{i}\t{organ}\n" for i, organ in TABLE.items())
    (source / "derivatives" / "seg" / "dseg.tsv").write_text(f"index\tname\n{rows}")
    with zipfile.ZipFile(archive, "w") as packed:
        for file in source.rglob("*"):
            packed.write(file, file.relative_to(source))

    folder = import_and_check(capfd, source, "bids")
    for scan in SCANS:
        expect_true_labels(folder, f"sub-{scan[-1]}", samples, scan)
    (tmp_path / "data").rename(tmp_path / "of_folder")
    unpacked = import_and_check(capfd, archive, "bids")

    assert unpacked.cases() == ["sub-a", "sub-b"]
    for scan in SCANS:
        expect_true_labels(unpacked, f"sub-{scan[-1]}", samples, scan)
