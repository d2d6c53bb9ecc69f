"""The whole audit: of sound datasets it finds nothing, of damaged ones whatever was planted, and no file ends it."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.auditphantoms import FIELDS, draw
from helpers.niftifuzz import make_file

from contract.datasets import Dataset, open_dataset
from coordinator.datasets.audit.audit import audit_datasets
from coordinator.datasets.audit.findings import Weight
from coordinator.datasets.audit.repairs import repair_dataset
from coordinator.datasets.phantom import make_phantom

FUZZED = 60


def write_dataset(folder: Path, field: str, cases: int) -> Dataset:
    """Sound cases of a field of view, with chest or without."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for index in range(cases):
        phantom = draw(field, index)
        write(folder, f"case_{index}", phantom.hu, phantom.labels, phantom.affine)
    organs = "".join(f"  {i}: {organ}\n" for i, organ in FIELDS[field].labels.items())
    (folder / "dataset.yaml").write_text(f"name: {folder.name}\nlabels:\n{organs}")
    return open_dataset(folder.parent, folder.name)


def write(folder: Path, case: str, image: np.ndarray, labels: np.ndarray, affine: np.ndarray) -> None:
    nib.save(nib.Nifti1Image(np.asarray(image).astype(np.int16), affine), folder / "images" / f"{case}.nii.gz")
    nib.save(nib.Nifti1Image(labels.astype(np.uint8), affine), folder / "labels" / f"{case}.nii.gz")


@pytest.mark.parametrize("field", FIELDS)
def test_a_sound_dataset_gives_no_finding(field: str, tmp_path: Path):
    dataset = write_dataset(tmp_path / "data" / field, field, 8)

    assert audit_datasets([dataset])[0].findings == ()


@pytest.mark.parametrize(("seed", "shape"), [(0, (64, 54, 16)), (1, (40, 36, 24)), (2, (96, 80, 12))])
def test_a_default_phantom_gives_no_finding(seed: int, shape: tuple[int, int, int], tmp_path: Path):
    make_phantom(tmp_path / "data" / "phantom", cases=8, seed=seed, shape=shape)

    assert audit_datasets([open_dataset(tmp_path / "data", "phantom")])[0].findings == ()


def test_a_swap_that_all_other_signs_confirm_is_found_repaired_and_gone(tmp_path: Path):
    dataset = write_dataset(tmp_path / "data" / "given", "trunk", 6)
    phantom = draw("trunk", 3)
    left, right = phantom.id("kidney_left"), phantom.id("kidney_right")
    swapped = phantom.labels.copy()
    swapped[phantom.labels == left], swapped[phantom.labels == right] = right, left
    write(dataset.folder, "case_3", phantom.hu, swapped, phantom.affine)

    findings = audit_datasets([dataset])[0].findings
    repaired = repair_dataset(dataset, findings, tmp_path / "data" / "fixed")

    assert [(finding.kind, finding.case, finding.weight) for finding in findings] == [
        ("left-right-swapped", "case_3", Weight.WRONG)
    ]
    assert [file.file for file in repaired] == ["labels/case_3.nii.gz"]
    assert audit_datasets([open_dataset(tmp_path / "data", "fixed")])[0].findings == ()


def test_a_swap_beside_another_organ_on_the_wrong_side_is_not_repaired(tmp_path: Path):
    dataset = write_dataset(tmp_path / "data" / "given", "trunk", 6)
    phantom = draw("trunk", 3)
    mirrored = phantom.labels[::-1]
    write(dataset.folder, "case_3", phantom.hu[::-1], mirrored, phantom.affine)

    findings = audit_datasets([dataset])[0].findings

    assert "all-mirrored" in {finding.kind for finding in findings}
    assert not any(finding.repairs for finding in findings)


def test_a_swap_that_only_other_pairs_confirm_is_not_repaired(tmp_path: Path):
    dataset = write_dataset(tmp_path / "data" / "given", "trunk", 6)
    organs = ("kidney_left", "kidney_right", "lung_left", "lung_right")
    for index in range(6):
        phantom = draw("trunk", index)
        kept = np.where(np.isin(phantom.labels, [phantom.id(organ) for organ in organs]), phantom.labels, 0)
        if index == 3:  # a mirrored image; the lungs were named by the side of the picture
            left, right = phantom.id("lung_left"), phantom.id("lung_right")
            kept[phantom.labels == left], kept[phantom.labels == right] = right, left
            write(dataset.folder, "case_3", phantom.hu[::-1], kept[::-1], phantom.affine)
        else:
            write(dataset.folder, f"case_{index}", phantom.hu, kept, phantom.affine)

    findings = audit_datasets([dataset])[0].findings

    assert ("left-right-swapped", "case_3") in {(finding.kind, finding.case) for finding in findings}
    assert not any(finding.repairs for finding in findings)


def test_a_scan_that_two_datasets_have_is_named_in_both(tmp_path: Path):
    one = write_dataset(tmp_path / "data" / "one", "trunk", 2)
    other = write_dataset(tmp_path / "data" / "other", "trunk", 1)

    audits = audit_datasets([one, other])

    assert [[(f.kind, f.case) for f in audit.findings] for audit in audits] == [
        [("scan-in-other-dataset", "case_0")],
        [("scan-in-other-dataset", "case_0")],
    ]


@pytest.mark.parametrize("seed", [1, 2])
def test_no_file_ends_the_audit(seed: int, tmp_path: Path):
    folder = tmp_path / "data" / "fuzzed"
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
        for number in range(FUZZED):
            (folder / kind / f"case_{number}.nii.gz").write_bytes(make_file(seed, number))
    (folder / "dataset.yaml").write_text(
        "name: fuzzed\nlabels: {1: liver, 2: kidney_left, 3: kidney_right, 4: aorta}\n"
    )

    audit = audit_datasets([open_dataset(tmp_path / "data", "fuzzed")])[0]

    unusable = {finding.case for finding in audit.findings if finding.weight is Weight.UNUSABLE}
    assert unusable == set(audit.check.set_aside)
    assert all(finding.text and finding.advice for finding in audit.findings)
