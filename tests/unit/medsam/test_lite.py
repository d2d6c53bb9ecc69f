"""The real inference code around a network that fills each box: geometry can be followed to the voxel."""

import importlib
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.pickles import RunsCode
from medsam_tool import lite, timm_stub
from medsam_tool.prompts import BoxRule
from medsam_tool.segmenter import Segmenter
from medsam_tool.stack import Settings, segment_volume
from medsam_tool.tensors import fill_network
from numpy.typing import NDArray

from contract import Case, LabelMap, UsageError
from contract.volumes import read_image, read_labels, write_image, write_labels

OBLIQUE = np.array([[-1.9, 0.3, 0.1, 60.0], [0.28, 1.8, 0.4, -80.0], [0.05, -0.35, 3.0, 12.0], [0, 0, 0, 1]])
"""Stored LAS, turned about all axes."""
ROTATED_AXES = OBLIQUE[:, [2, 0, 1, 3]]
"""The same directions with the body axis stored first."""


@dataclass
class BoxFiller:
    """A network whose masks are its boxes; it keeps the pictures that it embedded and the batches it decoded."""

    embedded: list[torch.Tensor] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)

    @property
    def prompt_encoder(self) -> "BoxesAsTheyAre":
        """Part of the network."""
        return BoxesAsTheyAre()

    def image_encoder(self, pictures: torch.Tensor) -> torch.Tensor:
        """Keep the pictures."""
        self.embedded.append(pictures)
        return pictures

    def mask_decoder(self, sparse_prompt_embeddings: torch.Tensor, **others: object) -> tuple[torch.Tensor, None]:
        """Fill the boxes."""
        assert others["multimask_output"] is False
        self.batches.append(len(sparse_prompt_embeddings))
        logits = torch.full((len(sparse_prompt_embeddings), 1, 256, 256), -10.0)
        for i, (left, top, right, bottom) in enumerate(sparse_prompt_embeddings[:, 0].round().int().tolist()):
            logits[i, 0, top : bottom + 1, left : right + 1] = 10.0
        return logits, None


class BoxesAsTheyAre:
    """A prompt encoder that leaves boxes as they are."""

    def __call__(self, points: None, boxes: torch.Tensor, masks: None) -> tuple[torch.Tensor, None]:
        """Give back the boxes."""
        return boxes, None


WHOLE_SLICES = Settings(
    40.0, 400.0, "none", BoxRule(around="component", corners="outer", min_area=1, margin=0.0, jitter=0), seed=0
)
BODY_ALONE = replace(WHOLE_SLICES, crop="body")
AT_LEAST_34_PIXELS = replace(WHOLE_SLICES, boxes=replace(WHOLE_SLICES.boxes, min_area=34))


def segmented(case: Case, chosen: Settings = WHOLE_SLICES) -> tuple[LabelMap, BoxFiller]:
    network = BoxFiller()
    return segment_volume(segmenter_of(network), case, chosen), network


def segmenter_of(network: BoxFiller) -> Segmenter:
    return Segmenter(network, lite, torch.device("cpu"), positions=torch.empty(0))


def stored_case(folder: Path, image: NDArray[np.int16], labels: NDArray[np.uint8], affine: NDArray[np.float64]) -> Case:
    write_image(folder / "image.nii.gz", image, affine)
    write_image(folder / "labels.nii.gz", labels, affine)
    volume = read_image(folder / "image.nii.gz")
    return Case("case_1", volume, read_labels(folder / "labels.nii.gz", volume), {1: "liver", 2: "spleen", 9: "aorta"})


def boxy_labels() -> NDArray[np.uint8]:
    """(32, 20, 6) labels that are filled boxes in every slice, different along every axis and at the border."""
    labels = np.zeros((32, 20, 6), dtype=np.uint8)
    labels[0:9, 14:20, 1:4] = 1
    labels[20:32, 0:3, 2:6] = 2
    labels[12:17, 5:12, 2] = 9
    labels[25, 15, 5] = 9  # one pixel
    return labels


@pytest.mark.parametrize("chosen", [WHOLE_SLICES, BODY_ALONE])
@pytest.mark.parametrize(
    ("affine", "axes"), [(np.diag([2, 2, 3, 1.0]), (0, 1, 2)), (OBLIQUE, (0, 1, 2)), (ROTATED_AXES, (2, 0, 1))]
)
def test_masks_come_back_to_the_voxels_of_their_boxes(
    tmp_path: Path, affine: NDArray[np.float64], axes: tuple[int, int, int], chosen: Settings
):
    labels = boxy_labels().transpose(axes)
    image = np.full(labels.shape, 20, dtype=np.int16)
    case = stored_case(tmp_path, image, labels, affine)

    result, _ = segmented(case, chosen)
    write_labels(tmp_path / "result.nii.gz", result, case.image)

    written = nib.load(tmp_path / "result.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj), labels)
    np.testing.assert_allclose(written.affine, affine, atol=1e-5)


def test_cropped_masks_come_back_to_their_voxels(tmp_path: Path):
    image = np.full((40, 30, 2), -1000, dtype=np.int16)
    image[3:35, 6:22] = 20
    labels = np.zeros(image.shape, dtype=np.uint8)
    labels[5:12, 8:10, 0] = 1
    labels[30:35, 15:22, 1] = 2
    case = stored_case(tmp_path, image, labels, OBLIQUE)

    result, network = segmented(case, BODY_ALONE)

    np.testing.assert_array_equal(result, case.labels)
    assert network.embedded[0][0, 0, 127].isfinite().all()
    assert network.embedded[0].max() == 0  # of one grey value: nothing but the body is shown


@pytest.mark.parametrize("affine", [np.diag([2, 2, 3, 1.0]), np.diag([-2, -2, 3, 1.0]), OBLIQUE])
def test_the_network_sees_the_front_on_top_and_the_right_at_the_left(tmp_path: Path, affine: NDArray[np.float64]):
    case = stored_case(tmp_path, np.full((32, 32, 1), -160, np.int16), np.ones((32, 32, 1), np.uint8), affine)
    case.image.array[24:, 24:] = 240  # the patient's right, front, since the array is RAS+

    _, network = segmented(case)

    (picture,) = network.embedded
    assert picture.shape == (1, 3, 256, 256)
    assert (
        (picture[0, :, :60, :60] == 1).all()
        and (picture[0, :, 70:, :] == 0).all()
        and (picture[0, :, :, 70:] == 0).all()
    )


def test_a_slice_is_embedded_once_and_its_boxes_are_one_batch(tmp_path: Path):
    labels = boxy_labels()
    case = stored_case(tmp_path, np.full(labels.shape, 20, dtype=np.int16), labels, np.eye(4))

    _, network = segmented(case)

    assert len(network.embedded) == 5  # slices 1 to 5
    assert network.batches == [1, 3, 2, 1, 2]


def test_slices_can_be_embedded_together_and_each_is_counted(tmp_path: Path):
    labels = boxy_labels()
    case = stored_case(tmp_path, np.full(labels.shape, 20, dtype=np.int16), labels, np.eye(4))
    network = BoxFiller()
    segmenter = segmenter_of(network)

    result = segment_volume(segmenter, case, replace(BODY_ALONE, slices_per_pass=2))

    np.testing.assert_array_equal(result, labels)
    assert [len(pictures) for pictures in network.embedded] == [2, 2, 1]  # slices 1 to 5
    assert network.batches == [1, 3, 2, 1, 2]
    assert segmenter.passes == 5


def test_parts_of_few_voxels_are_left_out_of_all_slices(tmp_path: Path):
    labels = boxy_labels()
    case = stored_case(tmp_path, np.full(labels.shape, 20, dtype=np.int16), labels, np.eye(4))

    result, network = segmented(case, replace(WHOLE_SLICES, min_volume=36))  # an aorta of 35 and one of 1

    np.testing.assert_array_equal(result, np.where(labels == 9, 0, labels))
    assert network.batches == [1, 2, 2, 1, 1]


def test_slices_without_a_prompt_are_never_embedded(tmp_path: Path):
    labels = boxy_labels()
    case = stored_case(tmp_path, np.full(labels.shape, 20, dtype=np.int16), labels, np.eye(4))

    result, network = segmented(case, AT_LEAST_34_PIXELS)

    assert network.batches == [1, 3, 2, 1, 1]
    assert not (result[:, :, 5] == 9).any()


def test_an_empty_label_map_gives_background_without_embedding(tmp_path: Path):
    nothing = np.zeros((8, 7, 4), dtype=np.uint8)
    case = stored_case(tmp_path, np.full(nothing.shape, 20, dtype=np.int16), nothing, OBLIQUE)

    result, network = segmented(case)

    assert result.shape == (8, 7, 4) and not result.any()
    assert network.embedded == []


def test_a_volume_of_one_slice_is_segmented(tmp_path: Path):
    labels = boxy_labels()[:, :, 2:3]
    case = stored_case(tmp_path, np.full(labels.shape, 20, dtype=np.int16), labels, np.eye(4))

    result, network = segmented(case)

    np.testing.assert_array_equal(result, labels)
    assert len(network.embedded) == 1


def test_many_boxes_are_decoded_in_parts_of_bounded_size():
    network = BoxFiller()
    boxes = [(float(i), 2.0, float(i), 2.0) for i in range(70)]

    (masks,) = segmenter_of(network)([np.zeros((256, 256), dtype=np.uint8)], [boxes])

    assert network.batches == [32, 32, 6] and len(network.embedded) == 1
    assert masks.shape == (70, 256, 256) and masks.dtype == np.float32
    assert [int(np.argwhere(mask > 0.5)[0, 1]) for mask in masks] == list(range(70))


def test_a_large_picture_is_shrunk_by_the_mean_of_the_covered_pixels():
    picture = np.zeros((512, 400), dtype=np.uint8)
    picture[0:2, 0:2] = [[0, 100], [200, 100]]
    picture[4:6, 4:6] = 200

    pixels = lite.network_input(picture, lite.fit(512, 400))

    assert pixels[0, :, 0, 0].tolist() == [0.5, 0.5, 0.5]
    assert pixels[0, 1, 2, 2] == 1
    assert pixels.shape == (1, 3, 256, 256) and (pixels[..., 200:] == 0).all()


def test_a_picture_of_one_grey_value_becomes_zero():
    assert lite.network_input(np.full((30, 20), 77, dtype=np.uint8), lite.fit(30, 20)).abs().max() == 0


def test_the_timm_stub_is_gone_after_its_use():
    before = {name for name in sys.modules if name.split(".")[0] == "timm"}

    with timm_stub.install():
        layers = importlib.import_module("timm.models.layers")
        importlib.import_module("timm.models.registry").register_model(len)

    assert layers.to_2tuple(7) == (7, 7) and layers.to_2tuple((3, 4)) == (3, 4)
    assert {name for name in sys.modules if name.split(".")[0] == "timm"} == before


def test_the_stubs_drop_path_is_the_identity_when_predicting_and_refuses_training():
    path = timm_stub.DropPath(drop_prob=0.3)
    x = torch.arange(3.0)

    assert torch.equal(path.eval()(x), x)
    with pytest.raises(RuntimeError, match="training mode"):
        path.train()(x)


def test_a_program_in_the_weights_is_one_sentence_and_never_run(tmp_path: Path):
    torch.save({"image_encoder.pos_embed": RunsCode(tmp_path / "made")}, tmp_path / "bad.pth")

    with pytest.raises(UsageError, match=r"bad\.pth: must be a whole file of tensors.*: it holds getattr.*; remove it"):
        lite.load(tmp_path / "bad.pth")

    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [b"", b"<html>quota exceeded</html>", b"PK\x03\x04 cut short", b"\x80\x02]q\x00."])
def test_weights_that_are_no_checkpoint_are_refused(tmp_path: Path, content: bytes):
    (tmp_path / "page.pth").write_bytes(content)

    with pytest.raises(UsageError, match=r"page\.pth: must be a whole file of tensors"):
        lite.load(tmp_path / "page.pth")


@pytest.mark.parametrize(
    "tensors", [{"weight": torch.zeros(2, 3)}, {}, {"weight": torch.zeros(9), "bias": torch.zeros(2)}]
)
def test_tensors_of_another_network_are_refused(tmp_path: Path, tensors: dict[str, torch.Tensor]):
    with pytest.raises(
        UsageError, match=r"other\.pth: must hold the tensors of a LiteMedSAM, all and no others, but: "
    ):
        fill_network(torch.nn.Linear(3, 2), tensors, tmp_path / "other.pth", "LiteMedSAM")
