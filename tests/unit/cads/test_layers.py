"""Where networks overlap, the smaller structure is seen."""

from pathlib import Path

import numpy as np
import pytest
from cads_tool.layers import HOLDERS, stack

from contract.manifest import load_manifest

TOOL = Path(__file__).resolve().parents[3] / "containers" / "cads"


@pytest.fixture(scope="module")
def names() -> dict[int, str]:
    labels = load_manifest(TOOL).variant("open").labels
    assert isinstance(labels, dict)
    return dict(labels)


def seen(names: dict[int, str], *structures: str) -> str:
    """What is seen of a voxel that each network calls something."""
    ids = {name: i for i, name in names.items()}
    last_ids = {551: 17, 552: 41, 553: 59, 554: 80, 555: 104, 556: 119, 557: 128, 558: 157, 559: 167}
    numbers = [next(n for n, last in last_ids.items() if ids[name] <= last) for name in structures]
    voxels = [np.full((1, 1, 1), ids[name], np.uint8) for name in structures]
    return names[int(stack(dict(zip(numbers, voxels, strict=True)), names)[0, 0, 0])]


@pytest.mark.parametrize(
    ("structures", "expected"),
    [
        (("colon", "rectum", "abdominal_cavity"), "rectum"),
        (("liver", "bowel_bag", "abdominal_cavity"), "liver"),
        (("lung_upper_lobe_left", "thoracic_cavity"), "lung_upper_lobe_left"),
        (("bowel_bag", "abdominal_cavity"), "bowel_bag"),
        (("heart_atrium_left", "heart", "pericardium"), "heart_atrium_left"),
        (("heart", "pericardium"), "heart"),
        (("vertebrae_L1", "spinal_canal", "spinal_cord"), "spinal_cord"),
        (("vertebrae_L1", "spinal_canal", "bones"), "vertebrae_L1"),
        (("brain", "white matter"), "white matter"),
        (("brain", "white matter", "OAR_Brainstem"), "OAR_Brainstem"),
        (("compact bone", "OAR_Bone_Mandible", "bones"), "OAR_Bone_Mandible"),
        (("esophagus", "OAR_Esophagus_S", "mediastinum"), "OAR_Esophagus_S"),
    ],
)
def test_what_holds_others_lies_under_them_and_later_networks_over_earlier_ones(
    names: dict[int, str], structures: tuple[str, ...], expected: str
):
    assert seen(names, *structures) == expected


def test_what_no_network_calls_anything_is_background(names: dict[int, str]):
    maps = {551: np.zeros((2, 3, 4), np.uint8), 559: np.zeros((2, 3, 4), np.uint8)}

    assert not stack(maps, names).any()


def test_every_structure_that_holds_others_exists(names: dict[int, str]):
    assert set(names.values()) >= HOLDERS
