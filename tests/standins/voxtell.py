"""Make the stand-in for VoxTell's published weights: a small network that was trained on phantoms.

    .venvs/voxtell/bin/python tests/standins/voxtell.py [FOLDER]

It writes the checkpoint, its plans and the bank of embeddings below FOLDER/voxtell (below tests/standins/weights by
default), and notes their sha256. Files, keys and network are laid out as the published ones; tile and widths are smaller.
The embeddings are random numbers, the same each time: the text encoder is not needed to give each prompt its own. It takes
some minutes on one core, and gives the same numbers each time on the same machine. It is a modest network: its mean Dice
on new phantoms is about 0.56, and it finds the larger organs alone.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

HERE = Path(__file__).resolve().parent
# In place of this folder, where `voxtell` would be this file.
sys.path[:1] = [str(HERE.parents[1] / "coordinator"), str(HERE.parents[1] / "containers" / "voxtell")]

from voxtell_tool.prompts import choose_prompts  # noqa: E402
from voxtell_tool.tiles import tile_starts  # noqa: E402
from voxtell_tool.volume import z_scores  # noqa: E402

from contract.datasets import open_dataset  # noqa: E402
from contract.records import file_sha256  # noqa: E402
from contract.volumes import read_image, read_labels  # noqa: E402
from contract.weights import record_sums  # noqa: E402
from coordinator.datasets.anatomy import LABELS  # noqa: E402
from coordinator.datasets.phantom import make_phantom  # noqa: E402

NAME = "voxtell_v1.1"
SEED = 20251117
"""Of the phantoms, the embeddings, the weights at the start and what is drawn for each step."""
PHANTOMS = {(48, 40, 12): 12, (96, 80, 16): 4}
"""Voxels -> cases; tests use phantoms of other seeds."""
TILE = [12, 40, 48]
FEATURES = [4, 8, 12, 12, 12, 12]
KERNELS = [[1, 3, 3], *[[3, 3, 3]] * 5]
STRIDES = [[1, 1, 1], [1, 2, 2], [2, 2, 2], [1, 2, 2], [1, 1, 1], [1, 1, 1]]
WIDTHS = {
    "decoder_layer": 4,
    "text_embedding_dim": 16,
    "num_maskformer_stages": 5,
    "num_heads": 4,
    "query_dim": 8,
    "project_to_decoder_hidden_dim": 16,
}
"""Published: 4, 2560, 5, 32, 2048, 2048."""
BANK = [
    "aorta", "esophagus", "left kidney", "liver", "pancreas", "right kidney", "small bowel", "spleen", "stomach",
]  # fmt: skip
"""Prompts, as 14,194 are published; those of the phantom's organs and others."""
NOWHERE = 255
"""The label of what a phantom hasn't."""
PROMPTS_A_STEP = 3
STEPS = 1200
LEARNING_RATE = 4e-3


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A phantom: (Z, Y, X) z-scores, and label ids."""

    scores: NDArray[np.float32]
    labels: NDArray[np.generic]


def main(folder: Path) -> None:
    """Train, write the files and note their sha256."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    root = folder / "voxtell"
    model, bank = root / NAME, root / "embeddings" / NAME
    for place in (model / "fold_0", bank):
        place.mkdir(parents=True, exist_ok=True)
    embeddings = np.random.default_rng(SEED).standard_normal((len(BANK), WIDTHS["text_embedding_dim"]))
    np.savez(bank / "text_embeddings.npz", labels=np.array(BANK), embeddings=embeddings.astype(np.float16))
    (model / "plans.json").write_text(json.dumps(plans(), indent=1) + "\n", encoding="utf-8")
    network = build_network()
    train(network, embeddings.astype(np.float16), list(examples()))
    torch.save({"network_weights": network.state_dict()}, model / "fold_0" / "checkpoint_final.pth")
    files = [model / "fold_0" / "checkpoint_final.pth", model / "plans.json", bank / "text_embeddings.npz"]
    record_sums(root, {str(path.relative_to(root)): file_sha256(path) for path in files})


def plans() -> dict[str, Any]:
    """nnU-Net's plans, with what VoxTell reads of them."""
    stages = len(FEATURES)
    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": FEATURES,
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": KERNELS,
            "strides": STRIDES,
            "n_blocks_per_stage": [1] * stages,
            "n_conv_per_stage_decoder": [1] * (stages - 1),
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    configuration = {"patch_size": TILE, "architecture": architecture}
    return {"plans_name": "phantoms", "configurations": {"3d_fullres": configuration}}


def build_network() -> torch.nn.Module:
    """VoxTell's network with the widths above."""
    from voxtell.model.voxtell_model import VoxTellModel

    architecture = plans()["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    layers = {
        "conv_op": torch.nn.Conv3d,
        "norm_op": torch.nn.InstanceNorm3d,
        "dropout_op": None,
        "nonlin": torch.nn.LeakyReLU,
    }
    sizes = np.array(TILE) // np.cumprod(STRIDES, axis=0)
    stages = {
        i: {"channels": c, "shape": tuple(s)} for i, (c, s) in enumerate(zip(FEATURES, sizes.tolist(), strict=True))
    }
    model = type("Small", (VoxTellModel,), {"DECODER_CONFIGS": stages})
    return model(1, **{**architecture, **layers}, **WIDTHS)


def examples() -> Iterator[Example]:
    """New phantoms, in the axes (Z, Y, X)."""
    with tempfile.TemporaryDirectory() as folder:
        for shape, cases in PHANTOMS.items():
            name = "phantom-" + "-".join(map(str, shape))
            make_phantom(Path(folder) / name, cases=cases, seed=SEED, shape=shape)
            dataset = open_dataset(Path(folder), name)
            for case in dataset.cases():
                image = read_image(dataset.image(case))
                yield Example(z_scores(image.array.T), read_labels(dataset.label(case), image).T.copy())


def train(network: torch.nn.Module, bank: NDArray[np.float16], cases: list[Example]) -> None:
    """Binary cross entropy and Dice of a few prompts a step; one that is no organ of the phantom finds nothing."""
    label_of = {prompt: label for label, prompt in choose_prompts(LABELS, "", BANK).items()}
    wanted = torch.tensor([label_of.get(prompt, NOWHERE) for prompt in BANK])[:, None, None, None]
    embeddings = torch.from_numpy(bank.astype(np.float32))[None]
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=LEARNING_RATE, total_steps=STEPS, pct_start=0.1)
    random = np.random.default_rng(SEED)
    network.train()
    for step in range(STEPS):
        scores, labels = draw_tile(cases[random.integers(len(cases))], random)
        asked = random.choice(len(BANK), PROMPTS_A_STEP, replace=False)
        masks = (labels == wanted[asked]).float()
        logits = network(scores[None, None], embeddings[:, asked])[0]
        inside, axes = logits.sigmoid(), (1, 2, 3)
        dice = (2 * (inside * masks).sum(axes) + 1) / (inside.sum(axes) + masks.sum(axes) + 1)
        loss = functional.binary_cross_entropy_with_logits(logits, masks) + 1 - dice.mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            print(f"step {step} of {STEPS}: loss {loss.item():.3f}", flush=True)  # noqa: T201 - a script's progress


def draw_tile(case: Example, random: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """(Z, Y, X) z-scores and label ids of one of the tiles that the tool would look at."""
    starts = [tile_starts(voxels, size) for voxels, size in zip(case.scores.shape, TILE, strict=True)]
    corner = [each[random.integers(len(each))] for each in starts]
    window = tuple(slice(start, start + size) for start, size in zip(corner, TILE, strict=True))
    return torch.from_numpy(case.scores[window]), torch.from_numpy(case.labels[window].astype(np.int64))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "weights")
