"""The audit of anatomy on real scans: what it says of them was looked at by eye; planted defects are found there, too."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from helpers.auditdefects import DEFECTS
from helpers.auditphantoms import Phantom

from contract import yamlfiles
from contract.datasets import DatasetDescription
from contract.volumes import read_image, read_labels
from coordinator.datasets.audit.anatomy.organs import CaseOrgans, judge_organs, measure_organs
from coordinator.datasets.audit.findings import Finding

pytestmark = pytest.mark.samples

ALONE = (
    "kidneys swapped", "adrenal glands swapped", "right kidney called left", "image and labels mirrored",
    "labels mirrored", "labels back to front", "labels upside down", "image and labels upside down",
    "image and labels back to front", "labels moved to the right", "labels moved to the front", "labels moved up",
    "labels out of the body", "second piece of a kidney", "second piece of an adrenal gland",
    "both kidneys in one label", "hole", "another organ inside", "cut along z", "cut from below", "cut along y",
    "empty slice", "three empty slices", "impossibly small", "fat", "in air", "cut by the image", "handful of voxels",
    "slice out of line", "step", "coarse labels",
)  # fmt: skip
"""Defects that one case shows without others to compare it with; of kinds that the sound scan does not have."""


@cache
def read(folder: Path, case: str) -> Phantom:
    """A case of the two real scans, with the organs that TotalSegmentator predicted."""
    table = yamlfiles.load(folder / "dataset.yaml", DatasetDescription).labels
    image = read_image(folder / "images" / f"{case}.nii.gz")
    labels = read_labels(folder / "labels" / f"{case}.nii.gz", image)
    return Phantom(labels, np.asarray(image.array).astype(np.int16), image.grid.affine, table)


def measure(case: Phantom) -> CaseOrgans:
    return measure_organs(case.labels, case.volume(), case.organs)


def describe(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return sorted((finding.case, finding.kind, finding.organ) for finding in findings)


def test_what_is_found_on_the_real_scans(samples: Path):
    cases = {case: read(samples / "datasets" / "tsmini", case) for case in ("ts_a", "ts_b")}

    findings = judge_organs({name: measure(case) for name, case in cases.items()}, cases["ts_a"].organs)

    assert describe(findings) == [
        ("ts_a", "empty-slices", "pancreas"),  # the neck of the pancreas is not predicted
        ("ts_a", "stray-specks", "pancreas"),  # in that gap
        ("ts_b", "repeated-slices", ""),  # predicted at 1.5 mm, on voxels of 0.98 mm: the outlines are steps
    ]


def test_what_is_found_in_the_ground_truth_of_amos(samples: Path):
    table = json.loads((samples / "amos_labels" / "dataset.json").read_text(encoding="utf-8"))["labels"]
    organs = {int(i): organ for i, organ in table.items() if i != "0"}
    measures = {}
    for case in ("amos_0001", "amos_0013"):
        volume = read_image(samples / "amos_labels" / f"{case}.nii.gz")
        labels = np.asarray(volume.array).astype(np.uint8)
        tissue = np.full(labels.shape, 40, np.int16)
        tissue[:8], tissue[-8:] = -1000, -1000
        measures[case] = measure_organs(labels, replace(volume, array=tissue), organs)

    findings = judge_organs(measures, organs)

    assert describe(findings) == [
        ("amos_0001", "stray-specks", "pancreas"),
        ("amos_0013", "cut-flat", "prostate_and_uterus"),  # 20 cm2 in its last slice, with 12 slices below it
        ("amos_0013", "hole", "liver"),  # 0.8 ml, around a vessel
        ("amos_0013", "stray-specks", "inferior_vena_cava"),
    ]


@cache
def describe_sound(folder: Path) -> list[tuple[str, str, str]]:
    case = read(folder, "ts_a")
    return describe(judge_organs({"ts_a": measure(case)}, case.organs))


@pytest.mark.parametrize("name", ALONE)
def test_a_defect_planted_in_a_real_scan_is_found(name: str, samples: Path):
    folder, defect = samples / "datasets" / "tsmini", DEFECTS[name]
    case = read(folder, "ts_a").copy()
    case = defect.plant(case) or case

    findings = describe(judge_organs({"ts_a": measure(case)}, case.organs))

    assert ("ts_a", defect.kind, defect.organ) not in describe_sound(folder)
    assert ("ts_a", defect.kind, defect.organ) in findings
