"""Make the stand-in for MedSAM's published weights: a narrow SAM that was trained on phantoms.

    .venvs/dev/bin/python tests/standins/medsam.py [FOLDER]

It writes FOLDER/medsam/medsam_vit_b.pth (tests/standins/weights by default) and notes its sha256. The file has the
published one's layout; widths are smaller. Pictures and boxes are made by the tool's own code. It takes about half an
hour on one core, and gives the same numbers each time on the same machine.
"""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from contract import Case, LabelMap
from contract.datasets import open_dataset
from contract.records import file_sha256
from contract.volumes import read_image, read_labels
from contract.weights import record_sums
from coordinator.datasets.phantom import make_phantom

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "containers" / "medsam"))

from medsam_tool import vit_b  # noqa: E402
from medsam_tool.pictures import to_picture  # noqa: E402
from medsam_tool.prompts import BoxRule, Prompt  # noqa: E402
from medsam_tool.sam_shape import Shape  # noqa: E402
from medsam_tool.stack import PromptedSlice, Settings, prompted_slices  # noqa: E402

SHAPE = Shape(
    encoder_width=24,
    encoder_depth=2,
    encoder_heads=3,
    window=14,
    global_blocks=(),
    prompt_width=32,
    decoder_mlp_width=64,
    quality_width=16,
)
SEED = 20240122
"""Of the phantoms, the weights at the start and the order of slices."""
PHANTOMS = {(96, 80, 24): 12, (48, 40, 12): 8}
"""Voxels -> cases; tests use phantoms of other seeds."""
STEPS = 1200
BOXES = 4
"""Of a slice in a step, at most."""
LEARNING_RATE = 3e-3
AS_IN_TRAINING = Settings(
    40.0, 400.0, vit_b.CROP, BoxRule(around="component", corners="outer", min_area=1, margin=0.0, jitter=5), seed=SEED
)
MASK = 256
"""Rows and columns of the decoder's masks."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A slice with its boxes, and what the network should say.

    Attributes:
        shown: slice and boxes.
        labels: (rows, columns) of the picture.
    """

    shown: PromptedSlice
    labels: LabelMap


def main(folder: Path) -> None:
    """Train, write the weights and note their sha256."""
    torch.use_deterministic_algorithms(mode=True)
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    network = vit_b.build_network(SHAPE)
    train(network, list(examples()))
    file = folder / "medsam" / vit_b.WEIGHTS
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), file)
    record_sums(file.parent, {file.name: file_sha256(file)})


def examples() -> Iterator[Example]:
    """Slices of new phantoms."""
    with tempfile.TemporaryDirectory() as folder:
        for shape, cases in PHANTOMS.items():
            name = "phantom-" + "-".join(map(str, shape))
            make_phantom(Path(folder) / name, cases=cases, seed=SEED, shape=shape)
            dataset = open_dataset(Path(folder), name)
            for case in dataset.cases():
                image = read_image(dataset.image(case))
                labels = read_labels(dataset.label(case), image)
                for shown in prompted_slices(vit_b, Case(case, image, labels, dataset.labels), labels, AS_IN_TRAINING):
                    yield Example(shown, to_picture(labels[:, :, shown.z][shown.part]))


def train(network: torch.nn.Module, slices: list[Example]) -> None:
    """Cross entropy and Dice, as upstream; the encoding of places stays as it was drawn."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=LEARNING_RATE, total_steps=STEPS, pct_start=0.1)
    order = np.random.default_rng(SEED)
    for step in range(STEPS):
        example = slices[order.integers(len(slices))]
        prompts = order.permutation(len(example.shown.prompts))[:BOXES]
        logits, wanted = predict_masks(network, example, [example.shown.prompts[i] for i in prompts])
        loss = functional.binary_cross_entropy_with_logits(logits, wanted) + dice_loss(torch.sigmoid(logits), wanted)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            print(f"step {step} of {STEPS}: loss {loss.item():.3f}", flush=True)  # noqa: T201 - a script's progress


def predict_masks(
    network: torch.nn.Module, example: Example, prompts: Sequence[Prompt]
) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, 256, 256) logits and wanted masks of B prompts of a slice."""
    picture = example.shown.picture
    boxes = torch.tensor([prompt.box for prompt in prompts])
    sparse, dense = network.prompt_encoder(points=None, boxes=boxes[:, None], masks=None)
    logits, _ = network.mask_decoder(
        image_embeddings=network.image_encoder(vit_b.network_input(picture, vit_b.fit(*picture.shape))),
        image_pe=network.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
    )
    return logits[:, 0], wanted_masks(example.labels, prompts, boxes)


def wanted_masks(picture_labels: LabelMap, prompts: Sequence[Prompt], boxes: torch.Tensor) -> torch.Tensor:
    """(B, 256, 256) 1 inside a box where the label is that it asks for, 0 elsewhere."""
    labels = torch.from_numpy(picture_labels.astype(np.float32))[None, None]
    small = functional.interpolate(labels, (MASK, MASK), mode="nearest")[0, 0]
    left, top, right, bottom = (boxes.T[:, :, None, None] * MASK / vit_b.SIDE).unbind()
    places = torch.arange(MASK)
    columns, rows = places[None, None, :], places[None, :, None]
    inside = (columns >= left.floor()) & (columns <= right) & (rows >= top.floor()) & (rows <= bottom)
    asked = torch.tensor([prompt.label for prompt in prompts])[:, None, None]
    return ((small[None] == asked) & inside).float()


def dice_loss(probabilities: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """One minus the mean Dice of (B, 256, 256) masks."""
    both = (probabilities * wanted).sum((1, 2))
    return 1 - ((2 * both + 1) / (probabilities.square().sum((1, 2)) + wanted.sum((1, 2)) + 1)).mean()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "weights")
