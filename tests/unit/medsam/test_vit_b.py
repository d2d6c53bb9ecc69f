"""MedSAM's network and steps, on a narrow network."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.pickles import RunsCode
from helpers.standins import STANDINS
from medsam_tool import sam_modules, vit_b
from medsam_tool.sam_shape import Shape, read_shape
from medsam_tool.segmenter import Segmenter
from numpy.typing import NDArray
from skimage import transform
from torch.nn import functional

from contract import UsageError

PUBLISHED = Shape(
    encoder_width=768, encoder_depth=12, encoder_heads=12, window=14, global_blocks=(2, 5, 8, 11),
    prompt_width=256, decoder_mlp_width=2048, quality_width=256,
)  # fmt: skip
BOXES = torch.tensor([[100.0, 40, 400, 300], [0, 0, 1023, 1023], [512, 700, 530, 720], [7, 7, 7, 7]])


@pytest.fixture(scope="module")
def weights() -> Path:
    """A narrow network in the published layout, trained on phantoms."""
    return STANDINS / "medsam" / "medsam_vit_b.pth"


@pytest.fixture(scope="module")
def segmenter(weights: Path) -> Segmenter:
    network = vit_b.load(weights).eval()
    with torch.no_grad():
        return Segmenter(network, vit_b, torch.device("cpu"), network.prompt_encoder.get_dense_pe())


def picture(rows: int, columns: int, seed: int = 0) -> NDArray[np.uint8]:
    """Blobs of random grey."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 4)).astype(np.uint8)
    return transform.resize(coarse, (rows, columns), order=1, preserve_range=True).astype(np.uint8)


def medsams_input(grey: NDArray[np.uint8]) -> torch.Tensor:
    """The steps of MedSAM_Inference.py, as they stand there: three channels from the start."""
    colours = np.repeat(grey[:, :, None], 3, axis=-1)
    large = transform.resize(colours, (1024, 1024), order=3, preserve_range=True, anti_aliasing=True).astype(np.uint8)
    scaled = (large - large.min()) / np.clip(large.max() - large.min(), a_min=1e-8, a_max=None)
    return torch.tensor(scaled).float().permute(2, 0, 1).unsqueeze(0)


@pytest.mark.parametrize(("rows", "columns"), [(80, 96), (1100, 300)])
def test_a_picture_is_prepared_as_medsam_does_it(rows: int, columns: int):
    grey = picture(rows, columns)

    found = vit_b.network_input(grey, vit_b.fit(rows, columns))

    assert found.shape == (1, 3, 1024, 1024) and found.dtype == torch.float32
    assert found.min() == 0 and found.max() == 1
    # A spline sum on the edge of two whole numbers may be rounded down to either: a grey value of 255.
    difference = (found - medsams_input(grey)).abs()
    assert difference.max() <= 1 / 200 and (difference > 1e-6).float().mean() < 1e-3


def test_a_picture_of_one_grey_value_becomes_zero():
    assert vit_b.network_input(np.full((30, 20), 77, dtype=np.uint8), vit_b.fit(30, 20)).abs().max() == 0


def test_probabilities_are_enlarged_not_logits():
    logits = torch.zeros(1, 1, 256, 256)
    logits[..., :128] = 50.0
    logits[..., 128:] = -10.0

    found = vit_b.probabilities(logits, vit_b.fit(256, 512))[0, 0]

    # Half way between a sure yes and a sure no: 3/4 and 1/4, where enlarged logits would give two sure yes.
    assert found.shape == (256, 512)
    np.testing.assert_allclose(found[9, 254:258], [1, 0.75, 0.25, 0], atol=1e-4)


def test_boxes_decoded_as_a_batch_give_the_logits_of_one_at_a_time(segmenter: Segmenter):
    embedding = segmenter.embed([picture(80, 96)])

    together = segmenter.logits(embedding, BOXES)
    alone = torch.cat([segmenter.logits(embedding, box[None]) for box in BOXES])

    assert together.shape == (4, 1, 256, 256) and together.std() > 0.1
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
    assert (together[0] - together[1]).abs().max() > 0.01  # the boxes matter


def test_slices_embedded_together_give_the_logits_of_one_at_a_time(segmenter: Segmenter):
    pictures = [picture(80, 96, 1), picture(50, 33, 2), picture(80, 96, 3)]

    together = segmenter.embed(pictures)
    alone = torch.cat([segmenter.embed([one]) for one in pictures])

    logits = [torch.cat([segmenter.logits(e[None], BOXES[:2]) for e in some]) for some in (together, alone)]
    torch.testing.assert_close(*logits, rtol=0, atol=1e-5)
    assert (alone[0] - alone[2]).abs().max() > 0.01  # the pictures matter


def test_masks_are_those_of_medsams_script(segmenter: Segmenter):
    grey = picture(60, 90)
    network = segmenter.network

    (found,) = segmenter([grey], [[(10.0, 20.0, 500.0, 900.0)]])

    with torch.no_grad():
        sparse, dense = network.prompt_encoder(points=None, boxes=torch.tensor([[[10.0, 20, 500, 900]]]), masks=None)
        logits, _ = network.mask_decoder(
            network.image_encoder(medsams_input(grey)), network.prompt_encoder.get_dense_pe(), sparse, dense, False
        )
        wanted = functional.interpolate(logits.sigmoid(), (60, 90), mode="bilinear", align_corners=False)
    assert found.shape == (1, 60, 90) and found.std() > 0.01
    np.testing.assert_allclose(found, wanted[:, 0], atol=2e-3)


def test_the_published_network_has_its_number_of_tensors_and_parameters():
    with torch.device("meta"):
        network = vit_b.build_network(PUBLISHED)

    assert len(network.state_dict()) == 314
    assert sum(parameter.numel() for parameter in network.parameters()) == 93_735_472
    assert read_shape(network.state_dict()) == PUBLISHED


@pytest.mark.parametrize("global_blocks", [(), (1,), (0, 2)])
def test_the_shape_of_a_network_is_read_from_its_tensors(global_blocks: tuple[int, ...]):
    shape = Shape(
        encoder_width=20, encoder_depth=3, encoder_heads=5, window=7, global_blocks=global_blocks, prompt_width=32,
        decoder_mlp_width=40, quality_width=8,
    )  # fmt: skip

    with torch.device("meta"):
        network = vit_b.build_network(shape)

    assert read_shape(network.state_dict()) == shape


def test_all_tensors_of_the_file_are_in_the_network(weights: Path):
    network = vit_b.load(weights)

    for name, tensor in torch.load(weights, weights_only=True).items():
        torch.testing.assert_close(network.state_dict()[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("image_encoder.pos_embed"), "it has no 'image_encoder.pos_embed'"),
        (lambda t: t.pop("mask_decoder.mask_tokens.weight"), "Missing key.*mask_decoder.mask_tokens.weight"),
        (lambda t: t.update(more=torch.zeros(2)), "Unexpected key.*more"),
        (lambda t: t.update({"mask_decoder.mask_tokens.weight": torch.zeros(9, 32)}), "size mismatch.*mask_tokens"),
    ],
)
def test_tensors_of_another_network_are_refused(weights: Path, tmp_path: Path, change: object, message: str):
    tensors = torch.load(weights, weights_only=True)
    change(tensors)  # type: ignore[operator]
    torch.save(tensors, tmp_path / "other.pth")

    with pytest.raises(UsageError, match=re.escape(str(tmp_path / "other.pth")) + ": must hold.*" + message):
        vit_b.load(tmp_path / "other.pth")


def test_code_in_a_file_is_never_run(tmp_path: Path):
    torch.save({"image_encoder.pos_embed": RunsCode(tmp_path / "made")}, tmp_path / "bad.pth")

    with pytest.raises(UsageError, match=r"bad\.pth: must be a whole file of tensors, numbers and names alone"):
        vit_b.load(tmp_path / "bad.pth")

    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [b"", b"<html>quota exceeded</html>", b"PK\x03\x04 cut short"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "page.pth").write_bytes(content)

    with pytest.raises(UsageError, match=r"page\.pth: must be a whole file of tensors, numbers and names alone"):
        vit_b.load(tmp_path / "page.pth")


def test_a_trainings_state_is_refused(weights: Path, tmp_path: Path):
    torch.save({"model": torch.load(weights, weights_only=True), "epoch": 3}, tmp_path / "training.pth")

    with pytest.raises(UsageError, match=r"training\.pth: must hold tensors by name.*ckpt_convert"):
        vit_b.load(tmp_path / "training.pth")


def test_torchvision_is_never_imported():
    sam_modules.import_modeling()

    assert "torchvision" not in sys.modules
    assert "segment_anything" not in sys.modules  # the parent package's stand-in is gone
