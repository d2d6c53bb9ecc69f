"""Make the stand-in for nnInteractive's published weights: a small network that was trained on phantoms.

    .venvs/nninteractive/bin/python tests/standins/nninteractive.py [FOLDER]

It writes FOLDER/nninteractive/nnInteractive_v1.0 (below tests/standins/weights by default) and notes the sha256. The
folder has the published one's layout; patch and widths are smaller. What the network sees is made by nnInteractive's own
session: image, prompt, zoomed out or not, with or without a mask to refine. It takes about 20 minutes on one core, and gives
the same numbers each time on the same machine. It is a modest network: its mean Dice on new phantoms is about 0.56.
"""

import io
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "coordinator"), str(HERE.parents[1] / "containers" / "nninteractive")]

from nninteractive_tool.prompts import PromptRule, make_prompts  # noqa: E402

from contract.datasets import open_dataset  # noqa: E402
from contract.records import file_sha256  # noqa: E402
from contract.volumes import read_image, read_labels  # noqa: E402
from contract.weights import record_sums  # noqa: E402
from coordinator.datasets.phantom import make_phantom  # noqa: E402

NAME = "nnInteractive_v1.0"
CONFIGURATION = "3d_fullres_ps192_bs24"
SEED = 20250311
"""Of the phantoms, the weights at the start and what is drawn for each step."""
PHANTOMS = {(48, 40, 12): 10, (96, 80, 16): 6}
"""Voxels -> cases; tests use phantoms of other seeds."""
PATCH = [16, 40, 48]
"""What the network learns from; it is convolutional, so it sees any other too."""
PATCH_USED = [56, 56, 56]
"""What the plans say: nnInteractive refines with a margin of 24 voxels on each side, so its patches must exceed 48."""
FEATURES = [8, 16, 32]
STEPS = 800
LEARNING_RATE = 3e-3
ZOOMS = [1.0, 1.5, 2.25, 3.375, 4.0]
"""How far nnInteractive looks, step by step."""
RULE = PromptRule(kind="box", margin=0, min_volume=8)
SESSION = {
    "inference_class": "nnInteractiveInferenceSession",
    "point_radius": 4,
    "preferred_scribble_thickness": [2, 2, 2],
    "interaction_decay": 0.98,
    "pad_mode_image": "constant",
}
DATASET = {"channel_names": {"0": "image"}, "labels": {"background": 0, "object": 1}, "file_ending": ".nii.gz"}


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A phantom: (Z, Y, X) HU, and label ids."""

    image: NDArray[np.generic]
    labels: NDArray[np.generic]


def main(folder: Path) -> None:
    """Train, write the model's folder and note the sha256 of its files."""
    from nnInteractive.trainer.nnInteractiveTrainer import nnInteractiveTrainer_stub
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    model = folder / "nninteractive" / NAME
    (model / "fold_0").mkdir(parents=True, exist_ok=True)
    for name, content in (("plans", plans(PATCH)), ("dataset", DATASET), ("inference_session_class", SESSION)):
        (model / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    manager = PlansManager(plans(PATCH))
    network = nnInteractiveTrainer_stub.build_network_architecture(
        manager, manager.get_configuration(CONFIGURATION), 1 + 7, 2, enable_deep_supervision=False
    )
    checkpoint = {"trainer_name": "nnInteractiveTrainer_stub", "init_args": {"configuration": CONFIGURATION}}
    file = model / "fold_0" / "checkpoint_final.pth"
    torch.save({"network_weights": network.state_dict(), **checkpoint}, file)
    train(network, open_session(model), list(examples()))
    torch.save({"network_weights": network.state_dict(), **checkpoint}, file)
    (model / "plans.json").write_text(json.dumps(plans(PATCH_USED), indent=1) + "\n", encoding="utf-8")
    files = [file, *model.glob("*.json")]
    record_sums(model.parent, {str(path.relative_to(model.parent)): file_sha256(path) for path in files})


def plans(patch: list[int]) -> dict[str, Any]:
    """nnU-Net's plans of a narrow residual encoder U-Net, in the form of the published ones."""
    stages = len(FEATURES)
    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": FEATURES,
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3]] * stages,
            "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
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
    configuration = {
        "data_identifier": "phantoms",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 1,
        "patch_size": patch,
        "spacing": [1, 1, 1],
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "architecture": architecture,
    }
    return {
        "dataset_name": "Dataset000_phantoms",
        "plans_name": "phantoms",
        "label_manager": "LabelManager",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {CONFIGURATION: configuration},
    }


def open_session(model: Path) -> Any:
    """The session of nnInteractive: it makes what the network sees."""
    from nnInteractive.inference.inference_session import nnInteractiveInferenceSession

    with redirect_stdout(io.StringIO()):
        session = nnInteractiveInferenceSession(torch.device("cpu"), torch_n_threads=1, enable_undo=False)
        session.initialize_from_trained_model_folder(str(model), use_fold=0)
    return session


def examples() -> Iterator[Example]:
    """New phantoms, in the axes (Z, Y, X)."""
    with tempfile.TemporaryDirectory() as folder:
        for shape, cases in PHANTOMS.items():
            name = "phantom-" + "-".join(map(str, shape))
            make_phantom(Path(folder) / name, cases=cases, seed=SEED, shape=shape)
            dataset = open_dataset(Path(folder), name)
            for case in dataset.cases():
                image = read_image(dataset.image(case))
                yield Example(image.array.T, read_labels(dataset.label(case), image).T)


def train(network: torch.nn.Module, session: Any, cases: list[Example]) -> None:
    """Cross entropy and Dice of one object a step."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=LEARNING_RATE, total_steps=STEPS, pct_start=0.1)
    random = np.random.default_rng(SEED)
    network.train()
    for step in range(STEPS):
        seen, wanted = draw_step(session, cases[random.integers(len(cases))], random)
        logits = network(seen)
        inside = logits.softmax(1)[:, 1]
        overlap = 2 * (inside * wanted).sum() + 1
        loss = functional.cross_entropy(logits, wanted) + 1 - overlap / (inside.sum() + wanted.sum() + 1)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            print(f"step {step} of {STEPS}: loss {loss.item():.3f}", flush=True)  # noqa: T201 - a script's progress


def draw_step(session: Any, case: Example, random: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """A step's input (1, 8, *PATCH) and the object that is wanted, (1, *PATCH) 0 or 1.

    Half of the time it is a first look, zoomed out at random; half of the time a refinement: not zoomed, somewhere at
    the object, with a coarse mask of it.
    """
    organ = case.labels == random.choice(np.unique(case.labels[case.labels > 0]))
    prompts = list(make_prompts(organ, RULE))
    if not prompts:
        return draw_step(session, case, random)
    prompt = prompts[random.integers(len(prompts))]
    with redirect_stdout(io.StringIO()), torch.inference_mode():
        session.set_image(case.image[None])
        session.set_target_buffer(torch.zeros(organ.shape, dtype=torch.uint8))
        session.add_bbox_interaction(prompt.half_open, include_interaction=True, run_prediction=False)
        centre, zoom = session.new_interaction_centers[-1], float(random.choice(ZOOMS))
        if random.random() < 0.5:
            session.interactions[session.channel_mapping["prev_seg"]] = make_coarse_mask(
                organ, float(random.uniform(1.5, 4))
            )
            centre, zoom = random.permutation(np.argwhere(organ))[0].tolist(), 1.0
        seen, _, box, _ = session._build_network_input(centre, zoom)
        seen = seen[None].float()
    return seen.clone(), crop_to_patch(organ, box).long()


def make_coarse_mask(organ: NDArray[np.bool_], factor: float) -> torch.Tensor:
    """The organ as a mask that was found zoomed out, (Z, Y, X)."""
    whole = torch.from_numpy(organ)[None, None].float()
    small = functional.interpolate(whole, [max(1, round(n / factor)) for n in organ.shape], mode="nearest-exact")
    return (functional.interpolate(small, organ.shape, mode="trilinear")[0, 0] >= 0.5).half()


def crop_to_patch(organ: NDArray[np.bool_], box: list[list[int]]) -> torch.Tensor:
    """The organ in a box that may reach out of the image, at the patch's size, (1, *PATCH)."""
    outside = [(max(0, -start), max(0, end - n)) for (start, end), n in zip(box, organ.shape, strict=True)]
    padded = np.pad(organ, outside)
    part = padded[tuple(slice(s + o[0], e + o[0]) for (s, e), o in zip(box, outside, strict=True))]
    return functional.interpolate(torch.from_numpy(part)[None, None].float(), PATCH, mode="nearest-exact")[0]


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "weights")
