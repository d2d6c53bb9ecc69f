from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from medsam_tool import vit_b
from medsam_tool.fit import Fit, fit_keeping_aspect, fit_stretching
from medsam_tool.prompts import BoxRule, Prompt, RandomOfLabel, make_prompts, mask_boxes
from medsam_tool.stack import read_settings
from numpy.typing import NDArray

from contract import Case
from contract.manifest import load_manifest

TOOL = Path(__file__).resolve().parents[3] / "containers" / "medsam"


def rule(
    around: Literal["component", "organ"] = "component",
    min_area: int = 1,
    margin: float = 0.0,
    jitter: int = 0,
    corners: Literal["outer", "index"] = "outer",
) -> BoxRule:
    return BoxRule(around, corners, min_area, margin, jitter)


def small(rows: int, columns: int) -> Fit:
    """How LiteMedSAM is shown a picture."""
    return fit_keeping_aspect(rows, columns, 256)


def large(rows: int, columns: int) -> Fit:
    """How MedSAM is shown a picture."""
    return fit_stretching(rows, columns, 1024)


def two_parts() -> NDArray[np.bool_]:
    """6 x 8 pixels: a part of five and, touching it nowhere, one of a single pixel."""
    mask = np.zeros((6, 8), dtype=bool)
    mask[1, 2:5] = True
    mask[2, 4:6] = True
    mask[5, 0] = True
    return mask


def no_random(label: int) -> np.random.Generator:
    return np.random.default_rng(0)


def random_of(case: Case, z: int, seed: int = 0) -> RandomOfLabel:
    return lambda label: case.random(seed, "box-jitter", f"label {label}", f"slice {z}")


@pytest.fixture
def case() -> Case:
    return Case("case_7", image=None, labels=None, organs={})  # type: ignore[arg-type]


def test_a_box_ends_at_the_last_pixel_inside():
    mask = np.zeros((6, 8), dtype=bool)
    mask[1:3, 2:6] = True

    assert mask_boxes(mask, rule()) == [(2, 1, 5, 2)]


def test_each_connected_part_gets_its_box():
    assert mask_boxes(two_parts(), rule("component")) == [(2, 1, 5, 2), (0, 5, 0, 5)]


def test_an_organ_gets_one_box_around_all_parts():
    assert mask_boxes(two_parts(), rule("organ")) == [(0, 1, 5, 5)]


def test_parts_that_touch_at_a_corner_are_one():
    assert mask_boxes(np.eye(3, dtype=bool), rule("component")) == [(0, 0, 2, 2)]


@pytest.mark.parametrize("around", ["component", "organ"])
def test_parts_below_the_minimal_area_get_no_box(around: Literal["component", "organ"]):
    assert mask_boxes(two_parts(), rule(around, min_area=2)) == [(2, 1, 5, 2)]
    assert mask_boxes(two_parts(), rule(around, min_area=5)) == [(2, 1, 5, 2)]
    assert mask_boxes(two_parts(), rule(around, min_area=6)) == []


def test_a_mask_of_one_pixel_gets_a_box_of_one_pixel():
    reference = np.zeros((256, 256), dtype=np.uint8)
    reference[7, 9] = 3

    assert make_prompts(reference, small(256, 256), rule(), no_random) == [Prompt(3, (9, 7, 9, 7))]


def test_the_margin_is_in_256ths_of_the_networks_input():
    reference = np.zeros((128, 128), dtype=np.uint8)
    reference[20:23, 30:34] = 2

    (prompt,) = make_prompts(reference, small(128, 128), rule(margin=5.0), no_random)

    assert prompt.box == (60 - 5, 40 - 5, 67 + 5, 45 + 5)

    (prompt,) = make_prompts(reference, large(128, 128), rule(margin=5.0), no_random)

    assert prompt.box == (240 - 20, 160 - 20, 271 + 20, 183 + 20)


def test_index_without_a_margin_is_the_box_of_medsams_inference():
    """MedSAM_Inference.py: box_np / [W, H, W, H] * 1024, of [x_min, y_min, x_max, y_max] as np.min and np.max give them.

    With 512 pixels the default ends one of the network's pixels later.
    """
    reference = np.zeros((256, 512), dtype=np.uint8)
    reference[20:23, 100:131] = 2
    rows, columns = np.nonzero(reference)
    of_upstream = np.array([columns.min(), rows.min(), columns.max(), rows.max()]) / [512, 256, 512, 256] * 1024

    (at_index,) = make_prompts(reference, large(256, 512), rule(corners="index"), no_random)
    (at_outer_edge,) = make_prompts(reference, large(256, 512), rule(corners="outer"), no_random)

    assert at_index.box == tuple(of_upstream) == (200, 80, 260, 88)
    assert at_outer_edge.box == (200, 80, 261, 91)


def test_outer_is_the_box_of_medsams_training():
    """train_one_gpu.py: the mask is resized to the network's pixels first, then np.min and np.max of its indices."""
    reference = np.zeros((256, 256), dtype=np.uint8)
    reference[20:23, 100:131] = 2
    rows, columns = np.nonzero(np.kron(reference, np.ones((4, 4), np.uint8)))

    (prompt,) = make_prompts(reference, large(256, 256), rule(corners="outer"), no_random)

    assert prompt.box == (columns.min(), rows.min(), columns.max(), rows.max()) == (400, 80, 523, 91)


def test_corners_of_a_shrunken_picture_may_lie_between_pixels():
    reference = np.zeros((512, 512), dtype=np.uint8)
    reference[21:24, 101:132] = 2

    (prompt,) = make_prompts(reference, small(512, 512), rule(corners="index", margin=1.0), no_random)

    assert prompt.box == (50.5 - 1, 10.5 - 1, 65.5 + 1, 11.5 + 1)


def test_boxes_end_at_the_pictures_edge_not_in_the_padding():
    reference = np.zeros((50, 200), dtype=np.uint8)
    reference[40:, 150:] = 1

    (prompt,) = make_prompts(reference, small(50, 200), rule(margin=20.0), no_random)

    assert prompt.box == pytest.approx((192 - 20, 51.2 - 20, 255, 63))


def test_prompts_come_in_order_of_labels():
    reference = np.zeros((256, 256), dtype=np.uint8)
    reference[0, 0] = 9
    reference[3, 3] = 2
    reference[5, 5] = 9

    assert [p.label for p in make_prompts(reference, small(256, 256), rule(), no_random)] == [2, 9, 9]


def test_a_picture_without_labels_has_no_prompts():
    assert make_prompts(np.zeros((9, 9), dtype=np.uint8), small(9, 9), rule(jitter=5), no_random) == []


def test_jitter_enlarges_each_side_by_whole_pixels_up_to_its_limit(case: Case):
    tight = np.array([60, 100, 89, 119])
    reference = np.zeros((256, 256), dtype=np.uint8)
    reference[100:120, 60:90] = 1

    boxes = [make_prompts(reference, small(256, 256), rule(jitter=4), random_of(case, z))[0].box for z in range(60)]
    grown = (np.array(boxes) - tight) * [-1, -1, 1, 1]

    assert set(grown.ravel().tolist()) == {0, 1, 2, 3, 4}
    assert (grown.max(axis=0) == 4).all()
    assert len(np.unique(grown, axis=0)) > 30  # the sides are drawn one by one


def test_jitter_of_the_large_network_is_that_of_medsams_training(case: Case):
    """MedSAM's train_one_gpu.py: each side moves by Python's random.randint(0, 20), both ends included, at 1024."""
    tight = np.array([240, 400, 359, 479])
    reference = np.zeros((256, 256), dtype=np.uint8)
    reference[100:120, 60:90] = 1

    boxes = [make_prompts(reference, large(256, 256), rule(jitter=5), random_of(case, z))[0].box for z in range(150)]
    grown = (np.array(boxes) - tight) * [-1, -1, 1, 1]

    assert set(grown.ravel().tolist()) == set(range(21))
    assert len(np.unique(grown, axis=0)) > 140  # the sides are drawn one by one


def test_a_labels_jitter_depends_on_no_other_label_and_on_no_order(case: Case):
    both = np.zeros((256, 256), dtype=np.uint8)
    both[50:80, 50:80] = 1
    both[150:180, 150:180] = 2
    second = np.where(both == 2, both, 0).astype(np.uint8)

    with_first = make_prompts(both, small(256, 256), rule(jitter=20), random_of(case, 3))[1]
    make_prompts(both, small(256, 256), rule(jitter=20), random_of(case, 4))
    alone = make_prompts(second, small(256, 256), rule(jitter=20), random_of(case, 3))[0]

    assert with_first == alone


def test_another_seed_gives_other_jitter(case: Case):
    reference = np.zeros((256, 256), dtype=np.uint8)
    reference[100:120, 60:90] = 1

    boxes = {
        make_prompts(reference, small(256, 256), rule(jitter=20), random_of(case, 3, seed))[0].box for seed in range(5)
    }

    assert len(boxes) == 5


def test_the_options_choose_where_a_box_ends():
    manifest = load_manifest(TOOL)
    default = read_settings(manifest.complete_options({}), vit_b)
    of_inference = read_settings(manifest.complete_options({"box-corners": "index", "box-margin": 0.0}), vit_b)

    assert default.boxes == rule(margin=1.0, corners="outer")
    assert of_inference.boxes == rule(margin=0.0, corners="index")
    assert of_inference.crop == "none"  # MedSAM shows whole slices
