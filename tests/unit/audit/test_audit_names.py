import pytest

from contract import yamlfiles
from contract.datasets import DatasetDescription
from coordinator.datasets.audit.anatomy.organfacts import LEFT, RIGHT, find_pairs, is_midline, know, stem
from coordinator.datasets.known import description_file

PAIRS = {
    "btcv": ["adrenal_gland", "kidney"],
    "amos22": ["adrenal_gland", "kidney"],
    "word": ["head_of_femur", "kidney"],
    "flare22": ["adrenal_gland", "kidney"],
    "abdomenatlas10": ["kidney"],
    "abdomenct1k": [],
    "flare21": [],
    "segthor": [],
}


@pytest.mark.parametrize("dataset", PAIRS)
def test_the_pairs_of_the_public_tables_are_found(dataset: str):
    labels = yamlfiles.load(description_file(dataset), DatasetDescription).labels

    pairs = find_pairs(labels.values())

    assert sorted(stem(left) for left, _ in pairs) == PAIRS[dataset]
    assert all(know(left).side == LEFT and know(right).side == RIGHT for left, right in pairs)


@pytest.mark.parametrize(
    ("organ", "side"),
    [
        ("kidney_left", LEFT), ("Left Kidney", LEFT), ("kidney (R)", RIGHT), ("LeftKidney", LEFT), ("R kidney", RIGHT),
        ("lung_lower_lobe_left", LEFT), ("rib_right_4", RIGHT), ("head_of_femur_right", RIGHT), ("hip_left", LEFT),
        ("liver", RIGHT), ("gall_bladder", RIGHT), ("gallbladder", RIGHT), ("spleen", LEFT), ("stomach", LEFT),
        ("heart_atrium_left", 0), ("heart_ventricle_right", 0), ("liver_left_lobe", RIGHT), ("brachiocephalic_vein_left", 0),
        ("aorta", 0), ("bladder", 0), ("urinary_bladder", 0), ("vertebrae_L1", 0), ("pancreas", 0), ("kidney", 0),
    ],
)  # fmt: skip
def test_the_side_of_an_organ(organ: str, side: int):
    assert know(organ).side == side


@pytest.mark.parametrize(
    ("organ", "may"),
    [
        ("kidney", True), ("kidney_left", False), ("adrenal", True), ("adrenal_gland_right", False), ("lung", True),
        ("colon", True), ("intestine", True), ("small_bowel", True), ("liver", False), ("liver_tumor", True),
        ("kidney_cyst_left", True), ("hepatic_vessel", True), ("aorta", False), ("postcava", False), ("pancreas", False),
        ("portal_vein_and_splenic_vein", True), ("stomach", False), ("duodenum", False), ("prostate_or_uterus", False),
    ],
)  # fmt: skip
def test_which_organs_may_lie_in_several_pieces(organ: str, may: bool):
    assert know(organ).has_pieces == may


@pytest.mark.parametrize(
    ("organ", "tube"),
    [
        ("aorta", True), ("inferior_vena_cava", True), ("esophagus", True), ("oesophagus", True), ("rectum", True),
        ("head_of_femur_left", True), ("trachea", True), ("heart", True), ("liver", False), ("bladder", False),
        ("spinal_canal", True), ("celiac_trunk", True), ("spleen", False),
    ],
)  # fmt: skip
def test_which_organs_end_by_convention(organ: str, tube: bool):
    assert know(organ).is_tube == tube


@pytest.mark.parametrize(
    ("organ", "not_like"),
    [("ureter_left", "uterus"), ("spinal_canal", "rectum"), ("outer_wall", "uterus"), ("hippocampus", "hip_left"),
     ("surface", "face"), ("cribriform", "rib_left_1")],
)  # fmt: skip
def test_a_name_that_only_contains_another_is_not_that_organ(organ: str, not_like: str):
    assert know(organ) != know(not_like)


def test_the_volume_of_an_organ_without_a_side_is_that_of_both():
    one, both = know("kidney_left").volume_ml, know("kidney").volume_ml

    assert one is not None
    assert both == (one[0], 2 * one[1])


def test_the_spine_marks_the_middle():
    assert [organ for organ in ("vertebrae_T12", "spinal_cord", "sacrum", "aorta", "rib_left_1") if is_midline(organ)] == [
        "vertebrae_T12", "spinal_cord", "sacrum",
    ]  # fmt: skip
