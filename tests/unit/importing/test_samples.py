"""Real CTs in the layouts that people have: one command each, and the check of datasets finds nothing to set aside."""

import json
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.distributions import centre_mm
from helpers.inprocess import call_coordinator
from helpers.reallayouts import (
    SCANS,
    SUBJECTS,
    TABLE,
    write_bids,
    write_msd,
    write_nnunet,
    write_totalsegmentator,
)

from contract.datasets import Dataset, open_dataset

pytestmark = pytest.mark.samples
Captured = pytest.CaptureFixture[str]


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
    write_nnunet(samples, source)

    dataset = import_and_check(capfd, source, "real")

    assert dataset.cases() == ["ts_a", "ts_b"]
    for scan in SCANS:
        expect_true_labels(dataset, scan, samples, scan)


def test_real_scans_in_msds_layout(samples: Path, tmp_path: Path, capfd: Captured):
    source = tmp_path / "Task99_Real"
    write_msd(samples, source)

    dataset = import_and_check(capfd, source, "real")

    for scan in SCANS:
        expect_true_labels(dataset, scan, samples, scan)


def test_real_scans_in_totalsegmentators_layout(samples: Path, tmp_path: Path, capfd: Captured):
    source = tmp_path / "Totalsegmentator_dataset_v201"
    write_totalsegmentator(samples, source)

    data = tmp_path / "data"
    ended = call_coordinator(capfd, "dataset", "import", source, "--into", data)
    checked = call_coordinator(capfd, "dataset", "check", data / "totalsegmentator")

    dataset = open_dataset(data, "totalsegmentator")
    assert (ended.code, checked.code) == (0, 0)
    assert "note: not all cases have a mask of: " in ended.out
    for scan, case in SUBJECTS.items():
        expect_true_labels(dataset, case, samples, scan)
    record = json.loads((dataset.folder / "import.json").read_text())
    assert "fewest voxels" in record["merge_rule"]
    assert not any("overlaps" in about for about in record["cases"].values())


def test_real_scans_in_bidss_layout_and_packed(samples: Path, tmp_path: Path, capfd: Captured):
    source, archive = tmp_path / "bids", tmp_path / "bids.zip"
    write_bids(samples, source)
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
